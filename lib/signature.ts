import { looksLikeDevice } from "./device.js";
import { dtypeCode, dtypeName, isDType } from "./dtype.js";
import { isLayout, isMemoryFormat, layoutCode, memoryFormatCode } from "./layout.js";
import type { ArgumentSchema, Handle, OperatorSchema, ReturnSchema } from "./native.js";
import { NativeOperator } from "./operator.js";
import { Generator } from "./random.js";
import { Tensor } from "./tensor.js";
import type { Complex } from "./types.js";

/** An argument of an operator, with the name it has as an option. A class, so that V8 knows all of them by one map. */
export class Parameter implements ArgumentSchema {
  readonly name: string;
  readonly key: string;
  readonly type: string;
  readonly base: ArgumentSchema["base"];
  readonly list: boolean;
  readonly optional: boolean;
  readonly elementOptional: boolean;
  readonly size: number;
  readonly hasDefault: boolean;
  readonly kwargOnly: boolean;
  readonly mutated: boolean;
  /** Its place in the schema. */
  readonly index: number;

  constructor(schema: ArgumentSchema, index: number) {
    this.name = interned(schema.name);
    this.key = interned(camelCase(schema.name));
    this.type = schema.type;
    this.base = interned(schema.base);
    this.list = schema.list;
    this.optional = schema.optional;
    this.elementOptional = schema.elementOptional;
    this.size = schema.size;
    this.hasDefault = schema.hasDefault;
    this.kwargOnly = schema.kwargOnly;
    this.mutated = schema.mutated;
    this.index = index;
  }
}

/** What `convert` gives for a value that the parameter does not take. */
export const MISMATCH = Symbol("mismatch");

/** snake_case to camelCase; a trailing underscore (in-place) stays. */
export function camelCase(name: string): string {
  const core = name.replace(/_+$/, "");
  return (
    core.replace(/(?<=.)_+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase()) +
    name.slice(core.length)
  );
}

/** `{ re, im }`: a complex number, where options or a value could stand. */
export function isComplexNumber(value: object): boolean {
  return (value as Complex).re !== undefined && "im" in value && Object.keys(value).length === 2;
}

/** Whether a value is an object of options: a plain one, and no complex number. */
export function isOptions(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof Tensor || Array.isArray(value)) return false;
  // Object.getPrototypeOf is a call out of compiled code, so the rarer objects are asked for it only.
  if (value.constructor !== Object) {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return false;
  }
  return !isComplexNumber(value);
}

function convertOne(parameter: Parameter, value: unknown): unknown {
  switch (parameter.base) {
    case "Tensor":
      return value instanceof Tensor ? value.handle : MISMATCH;
    case "int":
      return (typeof value === "number" && Number.isInteger(value)) || typeof value === "bigint"
        ? value
        : MISMATCH;
    case "Scalar":
      if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") {
        return value;
      }
      return typeof value === "object" && value !== null && isComplexNumber(value)
        ? value
        : MISMATCH;
    case "float":
      if (typeof value === "number") return value;
      return typeof value === "bigint" ? Number(value) : MISMATCH;
    case "bool":
      return typeof value === "boolean" ? value : MISMATCH;
    case "str":
      return typeof value === "string" ? value : MISMATCH;
    case "ScalarType":
      return isDType(value) ? dtypeCode(value) : MISMATCH;
    case "Layout":
      return isLayout(value) ? layoutCode(value) : MISMATCH;
    case "MemoryFormat":
      return isMemoryFormat(value) ? memoryFormatCode(value) : MISMATCH;
    case "Device":
      return typeof value === "string" && looksLikeDevice(value) ? value : MISMATCH;
    case "Generator":
      return value instanceof Generator ? value.handle : MISMATCH;
    case "complex":
      if (typeof value === "number") return value;
      return typeof value === "object" && value !== null && isComplexNumber(value)
        ? value
        : MISMATCH;
    case "unsupported":
      return MISMATCH;
  }
}

function convertInts(parameter: Parameter, values: readonly unknown[]): unknown {
  const ints = new Array<unknown>(values.length);
  for (let at = 0; at < values.length; at += 1) {
    const value = values[at];
    const fits =
      (typeof value === "number" && Number.isInteger(value)) ||
      typeof value === "bigint" ||
      (value === null && parameter.elementOptional);
    if (!fits) return MISMATCH;
    ints[at] = value;
  }
  return ints;
}

/** A value in the form that the binding takes, an array as a new one (its getters run here), or `MISMATCH`. */
export function convert(parameter: Parameter, value: unknown): unknown {
  if (value === null) return parameter.optional ? null : MISMATCH;
  if (!parameter.list) return convertOne(parameter, value);
  if (!Array.isArray(value)) {
    // int[N]: one number stands for N of them.
    return parameter.size > 0 && parameter.base !== "Tensor"
      ? convertOne(parameter, value)
      : MISMATCH;
  }
  if (parameter.base === "int") return convertInts(parameter, value);
  const converted = new Array<unknown>(value.length);
  for (let at = 0; at < value.length; at += 1) {
    const element: unknown = value[at];
    const one =
      element === null && parameter.elementOptional ? null : convertOne(parameter, element);
    if (one === MISMATCH) return MISMATCH;
    converted[at] = one;
  }
  return converted;
}

const EXPECTED: Record<ArgumentSchema["base"], string> = {
  Tensor: "Tensor",
  int: "integer",
  float: "number",
  bool: "boolean",
  Scalar: "number",
  str: "string",
  ScalarType: "dtype",
  Layout: "layout",
  MemoryFormat: "memory format",
  Device: "device",
  Generator: "torch.Generator",
  complex: "complex number { re, im }",
  unsupported: "value that JavaScript cannot pass",
};

/** What a parameter takes, in words. */
export function expectation(parameter: Parameter): string {
  const one = EXPECTED[parameter.base];
  const article = /^[aeiou]/.test(one) ? "an" : "a";
  let text = `${article} ${one}`;
  if (parameter.list) {
    text = `an array of ${one}s${parameter.elementOptional ? " or nulls" : ""}`;
    if (parameter.size > 0 && parameter.base !== "Tensor") text = `${article} ${one} or ${text}`;
  }
  return parameter.optional ? `${text} or null` : text;
}

/**
 * The same text as V8 keeps it for literals and property names. The binding's strings are not, and comparing those takes
 * a call where comparing these takes one instruction.
 */
function interned<T extends string>(text: T): T {
  return Object.keys({ [text]: null })[0] as T;
}

enum ReturnKind {
  Nothing,
  Tensor,
  Argument,
  Value,
  Several,
}

/** An operator of libtorch, ready to be called with values from JavaScript. */
export class Operator extends NativeOperator {
  /** E.g. `"aten::add.Tensor"`. */
  readonly fullName: string;
  readonly schema: OperatorSchema;
  readonly parameters: readonly Parameter[];
  /** The schema place of the argument that the operator returns itself; -1 where it returns one new tensor; -2 else. */
  readonly simpleReturn: number;
  private readonly returnKind: ReturnKind;
  private readonly returnNames: readonly string[] | null;

  constructor(schema: OperatorSchema) {
    super(schema);
    this.schema = schema;
    this.fullName = schema.overload === "" ? schema.name : `${schema.name}.${schema.overload}`;
    this.parameters = schema.arguments.map((argument, index) => new Parameter(argument, index));
    const [first] = schema.returns;
    if (first === undefined) this.returnKind = ReturnKind.Nothing;
    else if (schema.returns.length > 1) this.returnKind = ReturnKind.Several;
    else if (first.argument >= 0) this.returnKind = ReturnKind.Argument;
    else if (first.base === "Tensor" && !first.list) this.returnKind = ReturnKind.Tensor;
    else this.returnKind = ReturnKind.Value;
    this.simpleReturn = -2;
    if (this.returnKind === ReturnKind.Tensor) this.simpleReturn = -1;
    else if (this.returnKind === ReturnKind.Argument) this.simpleReturn = first!.argument;
    this.returnNames =
      schema.returns.length > 1 && schema.returns.every((value) => value.name !== "")
        ? schema.returns.map((value) => camelCase(value.name))
        : null;
  }

  /** Makes the binding's result what the caller sees; `argument` gives back what was passed at a schema place. */
  wrap(result: unknown, argument: (index: number) => unknown): unknown {
    switch (this.returnKind) {
      case ReturnKind.Nothing:
        return undefined;
      case ReturnKind.Tensor:
        return result === null ? null : new Tensor(result as Handle);
      case ReturnKind.Argument:
        return argument(this.schema.returns[0]!.argument);
      case ReturnKind.Value:
        return wrapOne(this.schema.returns[0]!, result, argument);
      case ReturnKind.Several: {
        const several = (result as unknown[]).map((value, at) =>
          wrapOne(this.schema.returns[at]!, value, argument),
        );
        if (this.returnNames === null) return several;
        const named = several as unknown[] & Record<string, unknown>;
        this.returnNames.forEach((name, at) => {
          named[name] = several[at];
        });
        return named;
      }
    }
  }
}

function wrapOne(
  schema: ReturnSchema,
  value: unknown,
  argument: (index: number) => unknown,
): unknown {
  if (schema.argument >= 0) return argument(schema.argument);
  if (value === null) return null;
  if (schema.base === "ScalarType") return dtypeName(value as number);
  if (schema.base !== "Tensor") return value;
  if (!schema.list) return new Tensor(value as Handle);
  return (value as (Handle | null)[]).map((handle) =>
    handle === null ? null : new Tensor(handle),
  );
}
