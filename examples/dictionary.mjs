#!/usr/bin/env node
/**
 * From a large text to a trained model, end to end: GNU's dictionary of English (40 MB, 100,000 entries, in Debian's
 * package dict-gcide) in GPT-2's tokens.
 *
 *     node examples/dictionary.mjs [FOLDER] [FLAGS of wavegpt train]
 *
 * FOLDER (default: data/dictionary) gets the text, its tokens (tokens/) and the run (run/). Fetches the package with
 * apt-get download, which installs nothing; where there is none, put gcide.dict.dz into FOLDER.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const PACKAGE = "dict-gcide";
const DICTIONARY = "gcide.dict.dz";
const wavegpt = fileURLToPath(new URL("../bin/wavegpt.js", import.meta.url));

function run(command, args, cwd = ".") {
  console.log(`$ ${path.basename(command)} ${args.join(" ")}`);
  const { status, error } = spawnSync(command, args, { cwd, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** The dictionary as Debian packs it: compressed text. */
function fetchDictionary(folder) {
  const file = path.join(folder, DICTIONARY);
  if (existsSync(file)) return file;
  run("apt-get", ["download", PACKAGE], folder);
  run(
    "bash",
    [
      "-c",
      `dpkg-deb --fsys-tarfile ${PACKAGE}_*.deb | tar -xO ./usr/share/dictd/${DICTIONARY} > ${DICTIONARY}`,
    ],
    folder,
  );
  return file;
}

/** An entry begins at the start of a line after an empty one; what explains it is indented. */
function entries(text) {
  return text
    .split(/\n\n(?=\S)/)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "" && !entry.startsWith("00-database"));
}

const [folder = path.join("data", "dictionary"), ...flags] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const documents = path.join(folder, "entries.jsonl");
if (!existsSync(documents)) {
  // A few of its bytes are no UTF-8: they become U+FFFD.
  const text = new TextDecoder().decode(gunzipSync(readFileSync(fetchDictionary(folder))));
  const all = entries(text);
  writeFileSync(documents, all.map((entry) => `${JSON.stringify({ text: entry })}\n`).join(""));
  console.log(`${all.length} entries, ${(Buffer.byteLength(text) / 1e6).toFixed(1)} MB`);
}

const tokens = path.join(folder, "tokens");
if (!existsSync(path.join(tokens, "manifest.json"))) {
  run(process.execPath, [wavegpt, "prepare", documents, "--out", tokens, "--resume"]);
}
run(process.execPath, [
  ...[wavegpt, "train", "--data", tokens, "--out", path.join(folder, "run")],
  ...["--preset", "openwebtext", "--n-embd", "128", "--n-heads", "4", "--n-layers", "4"],
  ...["--block-size", "64", "--batch-size", "32", "--dropout", "0", "--dtype", "bfloat16"],
  ...[
    "--steps",
    "1200",
    "--learning-rate",
    "3e-3",
    "--schedule",
    "cosine",
    "--warmup-steps",
    "50",
    "--clip",
    "1",
  ],
  ...["--eval-every", "200", "--eval-batches", "50", "--sample-tokens", "60", ...flags],
]);
