/** What must not be in a commit: machines' own paths, registries' addresses, large files. */
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { root, trackedFiles } from "./process.mjs";

const LARGEST = 1_000_000;
const LARGEST_GENERATED = 4_000_000;

/** In pieces, so that this file does not match itself. */
const FORBIDDEN = [
  [
    "a machine's own path",
    ["/wo", "rk/"],
    ["/ro", "ot/"],
    ["/home/", "[a-z]"],
    ["/Users/", "[a-z]"],
  ],
  [
    "a registry's address",
    ["registry\\.", "npmjs"],
    ["registry\\.", "yarnpkg"],
    ["pypi\\.", "org"],
    ["files\\.python", "hosted"],
    ["download\\.py", "torch\\.org"],
    ["deb\\.", "debian"],
  ],
].map(([what, ...patterns]) => ({
  what,
  // A path begins a word: "lib/network/x" is no machine's path.
  pattern: new RegExp(
    `(^|[^\\w./-])(?:https?://|git\\+https://)?(?:${patterns.map((pieces) => pieces.join("")).join("|")})`,
  ),
}));

function isText(bytes) {
  return !bytes.subarray(0, 8000).includes(0);
}

/** @returns {string[]} one line for each thing that is wrong */
export function checkTrackedFiles() {
  const wrong = [];
  for (const file of trackedFiles()) {
    const full = path.join(root, file);
    const status = statSync(full, { throwIfNoEntry: false });
    if (!status?.isFile()) continue;
    const limit = file.startsWith("lib/generated/") ? LARGEST_GENERATED : LARGEST;
    if (status.size > limit)
      wrong.push(`${file} has ${status.size} bytes, at most ${limit} are allowed`);
    const bytes = readFileSync(full);
    if (!isText(bytes)) continue;
    bytes
      .toString("utf8")
      .split("\n")
      .forEach((line, index) => {
        for (const { what, pattern } of FORBIDDEN) {
          if (pattern.test(line))
            wrong.push(`${file}:${index + 1} names ${what}: ${line.trim().slice(0, 100)}`);
        }
      });
  }
  const lock = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8"));
  for (const [name, entry] of Object.entries(lock.packages)) {
    if (entry.resolved)
      wrong.push(
        `package-lock.json: ${name} has "resolved" (npm install with this repository's .npmrc leaves it out)`,
      );
    if (name !== "" && !entry.link && !entry.integrity && !entry.inBundle)
      wrong.push(`package-lock.json: ${name} has no integrity`);
  }
  return wrong;
}
