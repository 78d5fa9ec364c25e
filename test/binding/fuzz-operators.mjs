// Run by fuzz.test.ts in a process of its own: calls operators with arguments of wrong and right number, type, shape,
// dtype and device. Says on file descriptor 3 what it is about to call, so that a crash can be named.
//   node fuzz-operators.mjs SEED CALLS_PER_OPERATOR FIRST LAST START
import { writeSync } from "node:fs";
import { binding } from "../../dist/lib/binding.js";
import { ARGUMENTS, buildPool, junk, random } from "./fuzz-values.mjs";

const [seed, callsPerOperator, first, last, start] = process.argv.slice(2).map(Number);
const names = binding.operatorNames().sort().slice(first, last);
let calls = 0;
let succeeded = 0;
let refused = 0;

function split(name) {
  const dot = name.indexOf(".");
  return dot < 0 ? [name, ""] : [name.slice(0, dot), name.slice(dot + 1)];
}

// Right in type (and, where `coherent`, in dtype and shape too), so that kernels are reached.
function plausible(argument, pool, rng, coherent) {
  if (argument.hasDefault && rng() < 0.5) return undefined;
  if (argument.optional && rng() < 0.4) return null;
  const make = ARGUMENTS[argument.base] ?? junk;
  const element = () =>
    coherent && argument.base === "Tensor"
      ? pool.coherent(argument.name, rng)
      : make(pool, rng, coherent);
  if (!argument.list) return element();
  if (argument.size > 0 && rng() < 0.2) return element();
  const length = argument.size > 0 && rng() < 0.9 ? argument.size : Math.floor(rng() * 4);
  return Array.from({ length }, () => (argument.elementOptional && rng() < 0.3 ? null : element()));
}

// Work in proportion to a number that is passed: too long for a test when the number is large.
const SLOW =
  /polynomial|^aten::random|^aten::(bartlett|blackman|hamming|hann|kaiser)_window|^aten::(combinations|matrix_power|linalg_matrix_power|choose_qparams_optimized|histc)/;

function isLarge(value) {
  return (
    (typeof value === "number" || typeof value === "bigint") && (value > 1000 || value < -1000)
  );
}

function drawArguments(operator, pool, rng) {
  const coherent = rng() < 0.6;
  const args = operator.arguments.map((argument) => plausible(argument, pool, rng, coherent));
  const change = rng();
  if (change < 0.1 && args.length > 0) args[Math.floor(rng() * args.length)] = junk(pool, rng);
  else if (change < 0.15 && args.length > 0) args[Math.floor(rng() * args.length)] = undefined;
  else if (change < 0.2) args.length = Math.floor(rng() * args.length);
  else if (change < 0.23) args.push(junk(pool, rng));
  const slow = SLOW.test(operator.name);
  const isNumber = (index) => operator.arguments[index]?.base !== "Tensor";
  return args.map((value, index) => (slow && isNumber(index) && isLarge(value) ? 7 : value));
}

const header = new Int32Array(binding.frame(), 0, 32);
const numbers = new Float64Array(binding.frame(), 128, 64);

// The call through the call frame, for values that it carries; sometimes with a wrong length, count or mask.
function callFrame(id, args, rng) {
  const values = args.flatMap((value) => {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) return [value];
    return [rng() < 0.05 ? junk(null, rng) : value.length, ...value.map((item) => item ?? 0)];
  });
  const mask = (skipped) =>
    args.reduce((bits, value, at) => (value === skipped && at < 32 ? bits | (1 << at) : bits), 0);
  header[0] = id;
  header[1] = rng() < 0.02 ? Math.floor(rng() * 100) - 10 : args.length;
  header[2] = rng() < 0.02 ? Math.floor(rng() * 2 ** 32) : mask(undefined);
  header[3] = rng() < 0.02 ? Math.floor(rng() * 2 ** 32) : mask(null);
  for (const [at, value] of values.slice(0, 64).entries()) {
    numbers[at] = ["number", "boolean"].includes(typeof value) ? Number(value) : Number.NaN;
  }
  binding.callFrame();
}

function show(value) {
  return JSON.stringify(value, (_, item) => (typeof item === "bigint" ? `${item}n` : item));
}

function describe(value, pool) {
  if (Array.isArray(value)) return `[${value.map((item) => describe(item, pool)).join(", ")}]`;
  return pool.names.get(value) ?? show(value) ?? String(value);
}

for (let index = 0; index < names.length; index++) {
  const [name, overload] = split(names[index]);
  const operator = binding.findOperator(name, overload);
  if (operator.refused !== null) {
    refused++;
    continue;
  }
  const rng = random(seed * 1000003 + first + index);
  const outer = binding.openScope();
  const pool = buildPool(binding, rng);
  for (let call = 0; call < callsPerOperator; call++) {
    const position = index * callsPerOperator + call;
    const args = drawArguments(operator, pool, rng);
    if (position < start) continue;
    const line = `${position} ${names[index]}(${args.map((item) => describe(item, pool)).join(", ")})`;
    writeSync(3, `${line.slice(0, 4000).padEnd(4000)}\n`, 0);
    calls++;
    const scope = binding.openScope();
    try {
      if (rng() < 0.5) callFrame(operator.id, args, rng);
      else binding.call(operator.id, ...args);
      succeeded++;
    } catch (error) {
      if (!(error instanceof Error) || !String(error.code).startsWith("ERR_WAVEGPT_")) throw error;
    }
    binding.closeScope(scope);
  }
  binding.closeScope(outer);
}
process.stdout.write(`${JSON.stringify({ calls, succeeded, refused, operators: names.length })}\n`);
