import { expect, test } from "vitest";
import { GPT2Tokenizer } from "../../src/tokenizer/index.js";
import { mixedText } from "./mixed-text.js";
import { difference, tiktoken } from "./peers.js";

test("50 MB of mixed text have the tokens of Python's tiktoken", () => {
  const tokenizer = new GPT2Tokenizer();
  const parts = mixedText(55);
  const bytes = Buffer.concat([...parts.values()]);
  const sizes = [...parts].map(([name, part]) => `${name} ${(part.length / 1e6).toFixed(1)}`);
  console.log(`MB: ${sizes.join(", ")}; ${(bytes.length / 1e6).toFixed(1)} in all`);
  expect(bytes.length).toBeGreaterThan(50e6);
  expect(difference(tokenizer.encode(bytes), tiktoken(bytes))).toBeNull();
});
