import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CharTokenizer } from "../../src/tokenizer/index.js";

/** Documents of words, always the same; among them an empty one, one that comes twice, and other scripts. */
export function documents(count: number, longest = 120): string[] {
  let state = 2024;
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
  const word = () =>
    Array.from({ length: 1 + next(9) }, () => String.fromCharCode(97 + next(26))).join("");
  const words = [...Array.from({ length: 2000 }, word), "漢字", "été", "😀", "\n", "e\u0301"];
  const all = Array.from({ length: count }, () =>
    Array.from({ length: 1 + next(longest) }, () => words[next(words.length)]).join(" "),
  );
  if (count > 8) {
    all[3] = "";
    all[7] = all[1]!;
  }
  return all;
}

/** A character tokenizer of all that {@link documents} may hold, in a file. */
export function tokenizerFile(folder: string): string {
  const path = join(folder, "characters.json");
  const ascii = String.fromCharCode(...Array.from({ length: 95 }, (_, at) => 32 + at));
  CharTokenizer.fromText(`${ascii}\n漢字été😀e\u0301`).save(path);
  return path;
}

/** Documents as JSON lines. */
export function jsonLines(path: string, texts: readonly string[]): string {
  writeFileSync(path, texts.map((text, id) => `${JSON.stringify({ id, text })}\n`).join(""));
  return path;
}

/** Every file of a folder by name: what two preparations must have alike. */
export function contents(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .sort()
      .map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(folder, name)))
          .digest("hex"),
      ]),
  );
}
