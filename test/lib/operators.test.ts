import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { torch } from "../../lib/index.js";
import { pythonFile } from "../python.js";
import { difference, find, type RecordedCall, replay } from "./replay.js";

const SEED = 7;
const SAMPLES = "3";
const DTYPES = ["float32", "int64", "bool", "complex64", "bfloat16"];

let calls: RecordedCall[] = [];

beforeAll(() => {
  torch.setNumThreads(1);
  const recorder = path.join(import.meta.dirname, "record-operators.py");
  calls = pythonFile(recorder, SAMPLES, ...DTYPES)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as RecordedCall);
}, 120_000);

describe("operators against PyTorch from Python", () => {
  test("give the same bits for the samples of torch.testing's operator database", () => {
    const failures: string[] = [];
    const missing = new Set<string>();
    let compared = 0;
    for (const call of calls) {
      const target = find(call);
      if (target === null) {
        // Operators that would end the process on bad arguments are refused, and so are no functions here.
        const refused = torch.ops.schema(`aten::${call.name}`)?.refused ?? null;
        if (refused === null) missing.add(`${call.kind} ${call.name}`);
        continue;
      }
      torch.tidy(() => {
        torch.manualSeed(SEED);
        let found: string | null;
        try {
          found = difference(
            torch.noGrad(() => replay(call, target)),
            call.result,
          );
        } catch (error) {
          found = (error as Error).message;
        }
        compared += 1;
        if (found !== null) failures.push(`${call.kind} ${call.name}: ${found}`);
      });
    }
    expect(failures).toEqual([]);
    expect([...missing]).toEqual([]);
    expect(compared).toBeGreaterThan(4000);
  }, 120_000);
});
