import type * as z from "zod";

const WORDING: readonly (readonly [RegExp, string])[] = [
  [/^Invalid (input|option): /, ""],
  [/^Too (small|big): /, ""],
  [/, received .*$/, ""],
  [/"\|"/g, '", "'],
  [/^expected int$/, "expected a whole number"],
  [/^expected number$/, "expected a number"],
  [/^expected string$/, "expected text"],
  [/^expected array$/, "expected a list"],
  [/^expected boolean$/, "expected true or false"],
  [/^expected (number|string|array) to (be|have) /, "expected "],
  [/>=(-?[\d.]+)/, "at least $1"],
  [/<=(-?[\d.]+)/, "at most $1"],
  [/>(-?[\d.]+)/, "more than $1"],
  [/<(-?[\d.]+)/, "less than $1"],
];

/** What a setting should have been, in words: `expected a whole number`. */
export function expectation(issue: z.core.$ZodIssue): string {
  // A union reports its branches; the last is the one with bounds.
  const inner = issue.code === "invalid_union" ? (issue.errors.at(-1)?.[0] ?? issue) : issue;
  return WORDING.reduce((text, [from, to]) => text.replace(from, to), inner.message);
}
