/** An operator or function that an error is about. */
export interface ErrorDetails {
  /** The operator or function, e.g. `"aten::add.Tensor"` or `"torch.tensor"`. */
  readonly operator?: string;
  /** The argument that was wrong, by its name in the signature. */
  readonly argument?: string;
  readonly cause?: unknown;
}

/**
 * Every error that this package throws on purpose. `code` is stable (`ERR_WAVEGPT_*`), the message names what was
 * expected and what came. Errors from the native binding carry the same `code`, `operator` and `argument`.
 */
export class WaveGPTError extends Error {
  readonly code: string;
  readonly operator?: string;
  readonly argument?: string;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "WaveGPTError";
    this.code = code;
    if (details.operator !== undefined) this.operator = details.operator;
    if (details.argument !== undefined) this.argument = details.argument;
  }
}

/** "operator: argument 'x' expected ..., got ...", with the code `ERR_WAVEGPT_ARGUMENT`. */
export function argumentError(
  operator: string,
  argument: string,
  expected: string,
  received: unknown,
): WaveGPTError {
  const message = `${operator}: argument '${argument}' expected ${expected}, got ${describe(received)}`;
  return new WaveGPTError("ERR_WAVEGPT_ARGUMENT", message, { operator, argument });
}

function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

/** What a value is, for messages: `Tensor float32 [2, 3]`, `number 1.5`, `string "cpu"`, `Array(3)`. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  switch (typeof value) {
    case "undefined":
      return "undefined";
    case "string":
      return `string ${quote(value)}`;
    case "bigint":
      return `bigint ${value}n`;
    case "number":
    case "boolean":
      return `${typeof value} ${value}`;
    case "symbol":
      return "a symbol";
    case "function":
      return value.name ? `function ${value.name}` : "a function";
  }
  if (Array.isArray(value)) {
    const kinds = new Set(value.slice(0, 50).map((element) => kindOf(element)));
    return `Array(${value.length})${kinds.size > 0 ? ` of ${[...kinds].join(", ")}` : ""}`;
  }
  if (value instanceof Promise) return "a Promise";
  if (ArrayBuffer.isView(value)) {
    return `${value.constructor.name}(${(value as { length?: number }).length ?? value.byteLength})`;
  }
  if (describers.length > 0) {
    for (const describer of describers) {
      const text = describer(value as object);
      if (text !== null) return text;
    }
  }
  const keys = Object.keys(value as object);
  const name = (value as object).constructor?.name;
  if (name && name !== "Object") return `a ${name}`;
  return `an object with ${keys.length > 0 ? `keys ${keys.slice(0, 6).join(", ")}` : "no keys"}`;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "object") return value.constructor?.name ?? "object";
  return typeof value;
}

const describers: ((value: object) => string | null)[] = [];

/** Lets a class say how messages describe its objects (null: not one of its objects). */
export function addDescriber(describer: (value: object) => string | null): void {
  describers.push(describer);
}
