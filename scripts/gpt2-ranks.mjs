/**
 * Writes dist/tokenizer/gpt2.ranks, GPT-2's vocabulary as the package carries it: for each token, in the order of the
 * ids, its length in one byte and its bytes. They come from the development package tiktoken; that they are the ones
 * OpenAI publishes is seen by the SHA-256 of their file, which OpenAI's own tiktoken names (r50k_base.tiktoken).
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fail, root } from "./process.mjs";

const PUBLISHED = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930";
const source = path.join(root, "node_modules", "tiktoken", "encoders", "gpt2.json");
const folder = path.join(root, "dist", "tokenizer");

if (!existsSync(source)) {
  fail("GPT-2's vocabulary comes in the development package tiktoken: npm install --include=dev");
}
// Lines of: "!", the first rank, and tokens in base64.
const ranks = JSON.parse(readFileSync(source, "utf8"))
  .bpe_ranks.split("\n")
  .flatMap((line) => {
    const [, first, ...tokens] = line.split(" ");
    return tokens.map((token, i) => [Number(first) + i, token]);
  });
const published = ranks.map(([rank, token]) => `${token} ${rank}\n`).join("");
const found = createHash("sha256").update(published).digest("hex");
if (found !== PUBLISHED) {
  fail(`${source}: expected ranks whose SHA-256 is ${PUBLISHED}, got ${found}.`);
}
const bytes = ranks.flatMap(([, token]) => {
  const text = Buffer.from(token, "base64");
  return [Buffer.of(text.length), text];
});
const permission = readFileSync(path.join(root, "LICENSE"), "utf8").replace(
  /^Copyright .*$/m,
  "Copyright (c) 2022 OpenAI, Shantanu Jain",
);
mkdirSync(folder, { recursive: true });
writeFileSync(path.join(folder, "gpt2.ranks"), Buffer.concat(bytes));
writeFileSync(
  path.join(folder, "gpt2.LICENSE"),
  `gpt2.ranks is the vocabulary of OpenAI's GPT-2, as tiktoken has it under this licence:\n\n${permission}`,
);
