import { binding } from "./binding.js";
import type { Handle } from "./native.js";

// The call frame: memory shared with the binding (binding/frame.h), in which the numbers of a call cost a nanosecond
// each, where Node-API takes five to ten.

const buffer = binding.frame();

/** Where things stand in `header`; the masks have a bit for each argument, and are zero again behind a call. */
export const OPERATOR = 0;
/** How many arguments are given; those behind have their defaults. */
export const GIVEN = 1;
/** Arguments among those that have their defaults all the same. */
export const ABSENT = 2;
/** Arguments that are None. */
export const NONE = 3;

/** Counted up by each use: tells whether a getter, say, made another call between writing and calling. */
export const CALLS = 4;
/** Of a shape that was asked for: how many dimensions, and behind them their sizes. */
const DIMENSIONS = 5;
const SIZES = 6;

/** As many arguments as the masks have bits for. */
export const MOST_ARGUMENTS = 31;
export const MOST_NUMBERS = 64;

export const header = new Int32Array(buffer, 0, 32);
/**
 * The values of the arguments that are neither absent nor None, in schema order: handles, numbers, booleans as 0 or 1,
 * codes; a list as its length and its elements (handle 0 is None). Behind a call, the first is the result: a handle, 0
 * where an argument itself was returned, -1 for an undefined tensor.
 */
export const numbers = new Float64Array(buffer, 128, MOST_NUMBERS);

const { callFrame, itemInFrame, shapeInFrame } = binding;

/** `operator(a)`;. */
export function callOne(operator: number, a: Handle): number {
  header[OPERATOR] = operator;
  header[GIVEN] = 1;
  numbers[0] = a;
  callFrame();
  return numbers[0]!;
}

/** `operator(a, b)`. */
export function callTwo(operator: number, a: Handle, b: number): number {
  header[OPERATOR] = operator;
  header[GIVEN] = 2;
  numbers[0] = a;
  numbers[1] = b;
  callFrame();
  return numbers[0]!;
}

/** `operator(a, b, c)`. */
export function callThree(operator: number, a: Handle, b: number, c: number): number {
  header[OPERATOR] = operator;
  header[GIVEN] = 3;
  numbers[0] = a;
  numbers[1] = b;
  numbers[2] = c;
  callFrame();
  return numbers[0]!;
}

/** Calls an operator whose values stand in `numbers`. */
export function callGiven(operator: number, given: number): number {
  header[OPERATOR] = operator;
  header[GIVEN] = given;
  callFrame();
  return numbers[0]!;
}

/** A tensor's sizes, in a new array. */
export function shapeOf(handle: Handle): number[] {
  numbers[0] = handle;
  const sizes = shapeInFrame();
  if (sizes !== undefined) return sizes;
  const dimensions = header[DIMENSIONS]!;
  // Literals are made faster than arrays that grow.
  if (dimensions === 2) return [header[6]!, header[7]!];
  if (dimensions === 3) return [header[6]!, header[7]!, header[8]!];
  if (dimensions === 1) return [header[6]!];
  if (dimensions === 4) return [header[6]!, header[7]!, header[8]!, header[9]!];
  return Array.from(header.subarray(SIZES, SIZES + dimensions));
}

/** How many dimensions a tensor has. */
export function dimensionsOf(handle: Handle): number {
  numbers[0] = handle;
  return shapeInFrame()?.length ?? header[DIMENSIONS]!;
}

/** A tensor's one element. */
export function itemOf(handle: Handle): ReturnType<typeof binding.item> {
  numbers[0] = handle;
  return itemInFrame() ?? numbers[0];
}
