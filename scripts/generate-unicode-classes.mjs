// Writes binding/tokenizer/unicode_ranges.inc: the code points of \p{L}, \p{N} and \s, by which text is split into words.
//
//   node scripts/generate-unicode-classes.mjs            writes
//   node scripts/generate-unicode-classes.mjs --check    fails where the committed file differs from what it would write
//
// The version of Unicode is the one of the regular expressions in tiktoken and tokenizers; the tests compare every code
// point with theirs.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { root } from "./process.mjs";

const UNICODE = "16.0.0";
const require = createRequire(import.meta.url);
const target = path.join(root, "binding", "tokenizer", "unicode_ranges.inc");
const found = require("regenerate-unicode-properties/unicode-version.js");
if (found !== UNICODE) {
  throw new Error(
    `regenerate-unicode-properties: expected the data of Unicode ${UNICODE}, got ${found}`,
  );
}

const properties = [
  ["kLetter", "General_Category/Letter"],
  ["kNumber", "General_Category/Number"],
  ["kSpace", "Binary_Property/White_Space"],
];
const hex = (codePoint) => `0x${codePoint.toString(16).toUpperCase().padStart(4, "0")}`;
const ranges = properties.flatMap(([name, file]) => {
  // Beginnings and ends, in turn; an end is the first code point beyond.
  const { data } = require(`regenerate-unicode-properties/${file}.js`).characters;
  return Array.from({ length: data.length / 2 }, (_, i) => ({
    name,
    first: data[2 * i],
    last: data[2 * i + 1] - 1,
  }));
});
ranges.sort((a, b) => a.first - b.first);
const content = [
  `// Unicode ${UNICODE}, written by scripts/generate-unicode-classes.mjs: first and last code point, class.`,
  ...ranges.map(({ name, first, last }) => `{${hex(first)}, ${hex(last)}, ${name}},`),
  "",
].join("\n");

if (!process.argv.includes("--check")) writeFileSync(target, content);
else if (readFileSync(target, "utf8") !== content) {
  console.error(`${target} is out of date: node scripts/generate-unicode-classes.mjs writes it`);
  process.exit(1);
}
