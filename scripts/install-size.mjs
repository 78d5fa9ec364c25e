/**
 * `npm run bench:install -- DIR`: what it takes to install wavegpt (the tarballs of `npm run pack:local -- --out DIR`)
 * beside packages of its kind from npm's registry: bytes to download, bytes on the disk, seconds. Without install
 * scripts; packages that have some are named, as those fetch more.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import path from "node:path";
import { npm } from "./npm.mjs";
import { fail } from "./process.mjs";

const OTHERS = ["@tensorflow/tfjs-node@4.22.0", "onnxruntime-node@1.30.0"];
const ROUNDS = 3;

function bytesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);
}

/** Installs into a new folder; returns it with the seconds that npm took. */
function install(names, cache, ...flags) {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-install-"));
  writeFileSync(path.join(folder, "package.json"), '{ "private": true }');
  const started = performance.now();
  const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--cache", cache, ...flags];
  const { status, stderr } = npm(["install", ...options, ...names], { cwd: folder });
  const seconds = (performance.now() - started) / 1000;
  if (status !== 0) fail(`npm install ${names.join(" ")}:\n${stderr}`);
  return { folder, seconds };
}

function withScripts(folder) {
  const { packages } = JSON.parse(readFileSync(path.join(folder, "package-lock.json"), "utf8"));
  return Object.entries(packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([name]) => name.replace(/^.*node_modules\//, ""));
}

/**
 * @param names what npm is told to install
 * @param tarballs those that it is made of, or null where npm downloads them
 */
function measure(label, names, tarballs) {
  const cache = mkdtempSync(path.join(tmpdir(), "wavegpt-npm-cache-"));
  const cold = tarballs === null ? install(names, cache) : null;
  const downloaded =
    tarballs === null
      ? bytesIn(path.join(cache, "_cacache", "content-v2"))
      : tarballs.reduce((sum, file) => sum + statSync(file).size, 0);
  if (cold !== null) rmSync(cold.folder, { recursive: true });
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const { folder, seconds } = install(names, cache, "--offline");
    const last = round === ROUNDS - 1;
    const found = last
      ? { disk: bytesIn(path.join(folder, "node_modules")), scripts: withScripts(folder) }
      : {};
    rmSync(folder, { recursive: true });
    return { seconds, ...found };
  });
  rmSync(cache, { recursive: true });
  const seconds = rounds.map((round) => round.seconds).sort((a, b) => a - b);
  return { label, downloaded, cold: cold?.seconds ?? null, ...rounds.at(-1), seconds };
}

const [directory] = process.argv.slice(2);
if (directory === undefined) {
  process.stderr.write("Usage: npm run bench:install -- DIR, the folder of npm run pack:local\n");
  process.exit(2);
}
const list = JSON.parse(readFileSync(path.join(directory, "packages.json"), "utf8"));
const tarballs = Object.values(list)
  .flat()
  .map((name) => path.resolve(directory, name));
const results = [
  measure("wavegpt", tarballs, tarballs),
  ...OTHERS.map((name) => measure(name, [name], null)),
];
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
const [model] = cpus().map((cpu) => cpu.model.trim());
console.log(`${process.platform}-${process.arch}, ${model}, Node ${process.version}\n`);
console.log(
  "| | download, MB | on disk, MB | from local files, s (least-most of 3) | with the download, s | install scripts |",
);
console.log("|---|---:|---:|---:|---:|---|");
for (const { label, downloaded, disk, seconds, cold, scripts } of results) {
  const cells = [
    megabytes(downloaded),
    megabytes(disk),
    `${seconds[1].toFixed(1)} (${seconds[0].toFixed(1)}-${seconds[2].toFixed(1)})`,
    cold === null ? "" : cold.toFixed(1),
    scripts.join(", ") || "none",
  ];
  console.log(`| ${label} | ${cells.join(" | ")} |`);
}
