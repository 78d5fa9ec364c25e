// Writes lib/generated/ from the schemas that the loaded libtorch reports through the binding.
//
//   node scripts/generate-operators.mjs            writes
//   node scripts/generate-operators.mjs --check    fails where the committed files differ from what it would write
//
// scripts/python-operators.json says which operators PyTorch offers as methods and as functions.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const target = path.join(root, "lib", "generated");
const facts = JSON.parse(readFileSync(path.join(root, "scripts", "python-operators.json"), "utf8"));
const { binding } = (await runnerImport(path.join(root, "lib", "binding.ts"))).module;

// Written by hand in lib/, with PyTorch's Python-level behaviour.
const BY_HAND = {
  methods: new Set(["retain_grad", "unique_consecutive", "nonzero"]),
  functions: new Set(["full", "einsum", "unique_consecutive", "from_file"]),
};
// PyTorch binds these by hand, so its own list lacks them.
const ADDED = {
  methods: { contiguous: "-", copy_: "-", alias: "-", index_put_: "-" },
  functions: {},
};

const RESERVED = new Set(
  "break case catch class const continue debugger default delete do else enum export extends false finally for function if import in instanceof new null return super switch this throw true try typeof var void while with".split(
    " ",
  ),
);

/** snake_case to camelCase; an in-place operator keeps its trailing underscore. */
function camel(name) {
  const core = name.replace(/_+$/, "");
  return (
    core.replace(/(?<=.)_+([a-zA-Z0-9])/g, (_, letter) => letter.toUpperCase()) +
    name.slice(core.length)
  );
}

const ARGUMENT_TYPES = {
  Tensor: "Tensor",
  int: "Int",
  float: "number",
  bool: "boolean",
  Scalar: "Scalar",
  str: "string",
  ScalarType: "DType",
  Layout: "Layout",
  MemoryFormat: "MemoryFormat",
  Device: "Device",
  Generator: "Generator",
  complex: "Complex",
};
const RETURN_TYPES = { ...ARGUMENT_TYPES, int: "number | bigint" };

// A parameter that takes a tensor in one overload and a number in another.
const EITHER = "Tensor | Scalar";
const NUMERIC = ["Tensor", "Scalar", EITHER];

function argumentType(argument) {
  if (argument.type === EITHER) return EITHER;
  let type = ARGUMENT_TYPES[argument.base];
  if (argument.list) {
    if (argument.base === "int") type = argument.size > 0 ? "IntOrInts" : "Ints";
    else if (argument.base === "Tensor")
      type = argument.elementOptional ? "OptionalTensors" : "Tensors";
    else type = argument.size > 0 ? `${type} | readonly ${type}[]` : `readonly ${type}[]`;
  }
  return argument.optional ? `${type} | null` : type;
}

const tuples = new Map();

function returnType(schema, isMethod) {
  const { returns } = schema;
  const one = (value) => (value.list ? `${RETURN_TYPES[value.base]}[]` : RETURN_TYPES[value.base]);
  if (returns.length === 0) return "void";
  if (returns.length === 1) {
    const at = returns[0].argument;
    return isMethod && at >= 0 && schema.arguments[at].name === "self" ? "this" : one(returns[0]);
  }
  if (returns.some((value) => !value.name)) return `[${returns.map(one).join(", ")}]`;
  const names = returns.map((value) => camel(value.name));
  const tuple = names.map((name) => name[0].toUpperCase() + name.slice(1)).join("");
  const fields = names.map((name, at) => `readonly ${name}: ${one(returns[at])}`).join("; ");
  const elements = names.map((name, at) => `${name}: ${one(returns[at])}`).join(", ");
  tuples.set(tuple, `export type ${tuple} = [${elements}] & { ${fields} };`);
  return tuple;
}

const option = (argument, required = false) =>
  required
    ? `${camel(argument.name)}: ${argumentType(argument)}`
    : `${camel(argument.name)}?: ${argumentType(argument)} | undefined`;

const parameter = (argument) => {
  const name = camel(argument.name === "self" ? "input" : argument.name);
  return `${RESERVED.has(name) ? `${name}_` : name}: ${argumentType(argument)}`;
};

// Optional arguments that may stand by position: dims, sizes, tensors and numbers; flags and names go by name.
const POSITIONAL = new Set(["Tensor", "int", "Scalar", "float"]);
const MOST_OPTIONAL_POSITIONAL = 3;

function optionsType(options, required, out) {
  const names = new Set(options.map((argument) => argument.name));
  const factory = ["dtype", "layout", "device", "pin_memory"].every((name) => names.has(name));
  const rest = factory
    ? options.filter(({ name }) => !["dtype", "layout", "device", "pin_memory"].includes(name))
    : options;
  const fields = [
    ...required.map((argument) => option(argument, true)),
    ...rest.map((argument) => option(argument)),
  ];
  if (out.length > 0) {
    fields.push(
      out.length === 1
        ? "out?: Tensor | undefined"
        : `out?: readonly [${out.map(() => "Tensor").join(", ")}] | undefined`,
    );
  }
  const own = fields.length > 0 ? `{ ${fields.join("; ")} }` : "";
  const text = [factory ? "TensorOptions" : "", own].filter(Boolean).join(" & ");
  return text ? [`options${required.length > 0 ? "" : "?"}: ${text}`] : [];
}

/** The TypeScript overloads of one schema. */
function overloads(name, schema, outSchema, isMethod) {
  const out = outSchema
    ? outSchema.arguments.filter((argument) => argument.mutated && argument.kwargOnly)
    : [];
  const all = schema.arguments.filter((argument) => !(isMethod && argument.name === "self"));
  const required = all.filter((argument) => !argument.hasDefault && !argument.kwargOnly);
  const requiredByName = all.filter((argument) => !argument.hasDefault && argument.kwargOnly);
  const optional = all.filter((argument) => argument.hasDefault);
  const ordered = all.filter((argument) => !argument.kwargOnly);
  const returned = returnType(schema, isMethod);
  const result = [];
  const add = (positional, options, byName = []) => {
    const parameters = [
      ...positional.map(parameter),
      ...optionsType(options, [...requiredByName, ...byName], out),
    ];
    result.push(`${name}(${parameters.join(", ")}): ${returned};`);
  };
  add(required, optional);
  const positional = [...required];
  for (const argument of ordered.slice(
    required.length,
    required.length + MOST_OPTIONAL_POSITIONAL,
  )) {
    if (!POSITIONAL.has(argument.base)) break;
    positional.push(argument);
    add(
      positional,
      optional.filter((other) => !positional.includes(other)),
    );
  }
  const firstNamed = required.findIndex((argument) => argument.base !== "Tensor");
  for (let at = firstNamed; at >= 0 && at < required.length; at += 1) {
    add(required.slice(0, at), optional, required.slice(at));
  }
  const [only] = ordered;
  if (
    ordered.length === 1 &&
    requiredByName.length === 0 &&
    only.base === "int" &&
    only.list &&
    only.size === 0
  ) {
    const spread = camel(only.name);
    result.push(`${name}(...${spread}: Int[]): ${returned};`);
  }
  return result;
}

const find = (name, overload) =>
  binding.findOperator(`aten::${name}`, overload === "-" ? "" : overload);
const isOut = (argument) => argument.mutated && argument.kwargOnly;

/** The form of an overload that writes to `out`: the one Python offers, or one that libtorch has beside it. */
function findOut(name, base, out, schema) {
  const overload = out ?? (base === "-" ? "out" : `${base}_out`);
  const found = find(name, overload);
  const names = (other) =>
    other.arguments
      .filter((argument) => !isOut(argument))
      .map((argument) => argument.name)
      .join();
  if (found === null || found.refused !== null || names(found) !== names(schema)) return null;
  return found.arguments.some(isOut) ? found : null;
}

/** Whether two overloads differ only in that one takes a Tensor where the other takes a number: then one union says both. */
function merge(a, b, isMethod) {
  const [first, second] = [a.schema.arguments, b.schema.arguments];
  if (
    first.length !== second.length ||
    returnType(a.schema, isMethod) !== returnType(b.schema, isMethod)
  )
    return null;
  if (a.done || b.done) return null;
  const [outs, otherOuts] = [a, b].map(({ out }) => out?.arguments.filter(isOut).length ?? 0);
  // Where only one form writes to `out`, it stays beside the union.
  const kept =
    outs === otherOuts
      ? []
      : [a, b].filter(({ out }) => out !== null).map((one) => ({ ...one, done: true }));
  let differing = -1;
  for (const [at, argument] of first.entries()) {
    const other = second[at];
    if (argument.name !== other.name || argument.hasDefault !== other.hasDefault) return null;
    if (argument.type === other.type) continue;
    const mergeable = [argument.type, other.type].every((type) => NUMERIC.includes(type));
    if (!mergeable || differing >= 0 || (isMethod && argument.name === "self")) return null;
    differing = at;
  }
  const merged = first.map((argument, at) => ({
    ...argument,
    kwargOnly: argument.kwargOnly || second[at].kwargOnly,
    ...(at === differing ? { base: "Tensor", type: EITHER } : {}),
  }));
  const out = kept.length > 0 ? null : a.out;
  const texts = [...a.texts, ...b.texts];
  return [{ schema: { ...a.schema, arguments: merged }, out, texts }, ...kept];
}

function mergeAll(overloads, isMethod) {
  const result = [];
  for (const overload of overloads) {
    let current = overload;
    for (let at = 0; at < result.length; at += 1) {
      const merged = merge(result[at], current, isMethod);
      if (merged === null) continue;
      result.splice(at, 1);
      const [union, ...kept] = merged;
      result.push(...kept);
      current = union;
      at = -1;
    }
    result.push(current);
  }
  return result;
}

/** The interface of one group, and its line in the table of names. */
function generate(group, isMethod, prefix = "") {
  const listing = { ...facts[group], ...ADDED[group] };
  const members = [];
  const table = [];
  for (const [name, specification] of Object.entries(listing).sort(([a], [b]) =>
    a < b ? -1 : 1,
  )) {
    if (BY_HAND[group]?.has(name)) continue;
    const exposed = camel(prefix && name.startsWith(prefix) ? name.slice(prefix.length) : name);
    const property = /^\d/.test(exposed) ? JSON.stringify(exposed) : exposed;
    const kept = [];
    const found = [];
    for (const pair of specification.split(" ")) {
      const [base, named] = pair.startsWith("->") ? ["-", pair.slice(2)] : pair.split(">");
      const schema = find(name, base);
      if (schema === null)
        throw new Error(`aten::${name}.${base}: PyTorch's list has it, libtorch has not`);
      if (schema.refused !== null) continue;
      if (
        schema.arguments.some((argument) => argument.base === "unsupported" && !argument.hasDefault)
      )
        continue;
      if (schema.returns.some((value) => value.base === "unsupported")) continue;
      const out = isMethod ? null : findOut(name, base, named, schema);
      schema.arguments = schema.arguments.filter((argument) => argument.base !== "unsupported");
      found.push({ schema, out, texts: [schema.schema] });
      kept.push(out === null ? base : `${base}>${out.overload || "-"}`);
    }
    const seen = new Set();
    for (const { schema, out, texts } of mergeAll(found, isMethod)) {
      const lines = overloads(property, schema, out, isMethod).filter((line) => !seen.has(line));
      for (const line of lines) seen.add(line);
      if (lines.length > 0)
        members.push(`  /** ${texts.join("\n   * ")} */`, ...lines.map((line) => `  ${line}`));
    }
    if (kept.length > 0)
      table.push(
        exposed === camel(name)
          ? `${name} ${kept.join(" ")}`
          : `${name}:${exposed} ${kept.join(" ")}`,
      );
  }
  return { members, table };
}

/** `torch.ops.aten`: the overloads of every operator, with what each returns. */
function generateAten() {
  const operators = new Map();
  for (const full of binding.operatorNames().sort()) {
    if (!full.startsWith("aten::")) continue;
    const [name, overload] = full.slice("aten::".length).split(".");
    const schema = binding.findOperator(`aten::${name}`, overload ?? "");
    if (schema.refused !== null || schema.returns.some((value) => value.base === "unsupported"))
      continue;
    const list = operators.get(name) ?? [];
    list.push(`${overload ?? "default"}: ${returnType(schema, false)}`);
    operators.set(name, list);
  }
  const members = [...operators].map(
    ([name, list]) => `  ${name}: OperatorPacket<{ ${list.join("; ")} }>;`,
  );
  return { members };
}

const HEADER = `// Generated by scripts/generate-operators.mjs from the schemas of libtorch ${facts.torch}. Do not edit.\n`;
const TYPES = [
  "Complex",
  "Device",
  "DType",
  "Int",
  "IntOrInts",
  "Ints",
  "Layout",
  "MemoryFormat",
  "OptionalTensors",
  "Scalar",
  "Tensor",
  "TensorOptions",
  "Tensors",
];

function imports(body, own = []) {
  const used = (name) => new RegExp(`\\b${name}\\b`).test(body);
  const named = TYPES.filter((name) => used(name) && !own.includes(name));
  const lines = [];
  if (used("Generator")) lines.push('import type { Generator } from "../random.js";');
  if (named.length > 0)
    lines.push(`import type {\n  ${named.join(",\n  ")},\n} from "../types.js";`);
  const returned = [...tuples.keys()]
    .filter((name) => new RegExp(`(\\)|\\w): ${name}[; ]`).test(body))
    .sort();
  if (returned.length > 0)
    lines.push(`import type {\n  ${returned.join(",\n  ")},\n} from "./returns.js";`);
  return `${lines.join("\n")}\n`;
}

const withoutComments = (text) => text.replace(/^\s*\/?\*.*$/gm, "");
const interfaceText = (name, comment, { members }) =>
  `\n/** ${comment} */\nexport interface ${name} {\n${members.join("\n")}\n}\n`;

const methods = generate("methods", true);
const functions = generate("functions", false);
const groups = {
  nn: ["NnFunctions", "The operators that PyTorch keeps in `torch._C._nn`.", generate("nn", false)],
  linalg: ["LinalgFunctions", "`torch.linalg`.", generate("linalg", false, "linalg_")],
  fft: ["FftFunctions", "`torch.fft`.", generate("fft", false, "fft_")],
  special: ["SpecialFunctions", "`torch.special`.", generate("special", false, "special_")],
};

const methodsBody = interfaceText(
  "TensorMethods",
  "The operators that are methods of a tensor.",
  methods,
);
const functionsBody = interfaceText(
  "TorchFunctions",
  "The operators that are functions of `torch`.",
  functions,
);
const groupsBody = Object.values(groups)
  .map(([name, comment, group]) => interfaceText(name, comment, group))
  .join("");
const atenBody = interfaceText(
  "AtenOperators",
  "`torch.ops.aten`: what each overload returns.",
  generateAten(),
);
const returnsBody = `\n${[...tuples.entries()]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([, text]) => text)
  .join("\n")}\n`;
const tableText = (name, comment, { table }) =>
  `\n/** ${comment} */\nexport const ${name} = \`\n${table.join("\n")}\n\`;\n`;

const files = {
  "methods.ts": HEADER + imports(withoutComments(methodsBody)) + methodsBody,
  "functions.ts": HEADER + imports(withoutComments(functionsBody)) + functionsBody,
  "groups.ts": HEADER + imports(withoutComments(groupsBody)) + groupsBody,
  "aten.ts": `${HEADER}import type { OperatorPacket } from "../ops.js";\n${imports(withoutComments(atenBody))}${atenBody}`,
  "returns.ts": `${HEADER}import type { Tensor } from "../tensor.js";\n${returnsBody}`,
  "table.ts":
    `${HEADER}\n// One operator a line: its name (\`:\` and the name it has here, where that is not the camelCase one) and its\n// overloads in the order they are tried; \`a>b\` is overload a with its \`out\` form b, \`-\` the empty name.\n` +
    tableText("METHODS", "Methods of Tensor.", methods) +
    tableText("FUNCTIONS", "Functions of `torch`.", functions) +
    Object.entries(groups)
      .map(([name, [, , group]]) =>
        tableText(name.toUpperCase(), `Functions of the group ${name}.`, group),
      )
      .join(""),
};

const read = (name) => {
  try {
    return readFileSync(path.join(target, name), "utf8");
  } catch {
    return null;
  }
};

if (process.argv.includes("--check")) {
  const stale = Object.keys(files).filter((name) => read(name) !== files[name]);
  const extra = readdirSync(target).filter((name) => !(name in files));
  if (stale.length + extra.length > 0) {
    console.error(
      `lib/generated differs from what libtorch ${binding.buildInformation().libtorch} reports: ${[...stale, ...extra].join(", ")}. Run: npm run generate`,
    );
    process.exit(1);
  }
} else {
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(target)) if (!(name in files)) rmSync(path.join(target, name));
  for (const [name, text] of Object.entries(files))
    if (read(name) !== text) writeFileSync(path.join(target, name), text);
  console.log(
    `lib/generated: ${methods.table.length} methods, ${functions.table.length} functions, ${Object.values(
      groups,
    )
      .map(([, , group]) => group.table.length)
      .reduce((a, b) => a + b)} in groups`,
  );
}
