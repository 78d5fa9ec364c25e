import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { packageRoot } from "../../lib/package-root.js";
import { locateCorpus } from "../../src/data/corpus.js";
import { Random } from "../../src/data/random.js";

/** A text in a file, for both sides to read. */
export interface BenchText {
  readonly name: string;
  readonly file: string;
  readonly megabytes: number;
}

const compiler = path.join(packageRoot(), "node_modules", "typescript", "lib");

/** What the compiler says, in thirteen languages. */
function messages(): Buffer {
  const files = readdirSync(compiler, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith("diagnosticMessages.generated.json"))
    .sort();
  return Buffer.concat(files.map((name) => readFileSync(path.join(compiler, name))));
}

function letters(count: number): Buffer {
  const random = new Random(1);
  return Buffer.from(Uint8Array.from({ length: count }, () => 0x61 + random.below(26)));
}

/** Texts that every machine with this repository has, written to `folder`. */
export async function benchTexts(folder: string): Promise<BenchText[]> {
  const corpus = await locateCorpus();
  const texts: [string, Buffer][] = [
    [corpus.title, readFileSync(corpus.path)],
    ["JavaScript (TypeScript's compiler)", readFileSync(path.join(compiler, "typescript.js"))],
    ["its messages in thirteen languages", messages()],
    ["1 MB of random letters, no space", letters(1e6)],
    ["1 MB of one letter", Buffer.alloc(1e6, "a")],
    ["1 MB of spaces", Buffer.alloc(1e6, " ")],
  ];
  return texts.map(([name, bytes], i) => {
    const file = path.join(folder, `${i}.txt`);
    writeFileSync(file, bytes);
    return { name, file, megabytes: bytes.length / 1e6 };
  });
}
