import { WaveGPTError } from "../errors.js";
import { Tensor } from "../tensor.js";

/** What every group has, whatever the optimizer. */
export interface GroupBase {
  /** The tensors of the group, in order. */
  readonly params: readonly Tensor[];
  /** Their names, where they were given as `namedParameters()`. */
  readonly paramNames?: readonly string[];
  /** Learning rate of the next step; schedules write it. */
  lr: number;
  /** The learning rate that schedules start from; set by the first schedule. */
  initialLr?: number;
}

/** A group as an optimizer holds it: its options may be changed between steps. */
export type ParamGroup<Options> = GroupBase & Required<Options>;

/** Tensors, with or without names. */
export type Params = Iterable<Tensor> | Iterable<readonly [string, Tensor]>;

/** A group as it is given to an optimizer: what it leaves out is taken from the optimizer's options. */
export type GroupInput<Options> = { params: Params } & Options;

/** All parameters in one group, or several groups. */
export type ParamsOrGroups<Options> = Params | Iterable<GroupInput<Options>>;

/** Splits what was given to an optimizer into groups. */
export function toGroups<Options>(
  optimizer: string,
  input: ParamsOrGroups<Options>,
): GroupInput<Options>[] {
  if (input instanceof Tensor) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `${optimizer} takes an iterable of tensors or of groups; got one Tensor. Put it in a list.`,
      { argument: "params" },
    );
  }
  const list = [...input] as unknown[];
  if (list.length === 0) {
    throw new WaveGPTError("ERR_WAVEGPT_ARGUMENT", `${optimizer} got no parameters.`, {
      argument: "params",
    });
  }
  const [first] = list;
  return isGroup(first)
    ? (list as GroupInput<Options>[])
    : [{ params: list as Tensor[] } as unknown as GroupInput<Options>];
}

function isGroup(value: unknown): boolean {
  return (
    typeof value === "object" && value !== null && !(value instanceof Tensor) && "params" in value
  );
}

/** Checks a group's tensors: leaves, of a floating-point dtype, none twice. `taken` are those of other groups. */
export function readParams(
  optimizer: string,
  params: Params,
  taken: ReadonlySet<Tensor>,
): { params: Tensor[]; paramNames?: string[] } {
  const tensors: Tensor[] = [];
  const names: string[] = [];
  const list = params instanceof Tensor ? [params] : [...params];
  for (const [index, item] of list.entries()) {
    const named = Array.isArray(item);
    const tensor: unknown = named ? item[1] : item;
    if (!(tensor instanceof Tensor)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `${optimizer} takes tensors or [name, tensor] pairs; got ${tensor === null ? "null" : typeof tensor} at position ${index}.`,
        { argument: "params" },
      );
    }
    if (!tensor.isLeaf) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `${optimizer} can only change leaves; parameter ${index} is the result of ${tensor.gradFn ?? "an operator"}.`,
        { argument: "params" },
      );
    }
    if (taken.has(tensor) || tensors.includes(tensor)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `${optimizer} was given the same tensor twice, at last at position ${index}.`,
        { argument: "params" },
      );
    }
    tensors.push(tensor);
    if (named) {
      names.push(String(item[0]));
    }
  }
  if (names.length > 0 && names.length !== tensors.length) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `${optimizer} takes names for all parameters of a group or for none; got ${names.length} for ${tensors.length}.`,
      { argument: "params" },
    );
  }
  return { params: tensors, ...(names.length > 0 && { paramNames: names }) };
}

/** Checks an option that must be a number in a range; `below` is exclusive. */
export function checkOption(
  optimizer: string,
  name: string,
  value: number,
  { below = Number.POSITIVE_INFINITY }: { below?: number } = {},
): void {
  if (!(typeof value === "number" && value >= 0 && value < below)) {
    const range =
      below === Number.POSITIVE_INFINITY ? "a number of at least 0" : `from 0 to below ${below}`;
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `${optimizer}'s ${name} must be ${range}; got ${String(value)}.`,
      { argument: name },
    );
  }
}
