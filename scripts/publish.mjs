/**
 * `node scripts/publish.mjs DIR... [--dry-run] [--provenance] [--registry URL] [--tag TAG]`: publishes the tarballs in
 * the folders to npm's registry, each after those it depends on, so that at no moment a package is there without its
 * parts. A version that the registry has already is passed over: what failed halfway is run again.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { npm } from "./npm.mjs";
import { fail } from "./process.mjs";

const USAGE =
  "Usage: node scripts/publish.mjs DIR... [--dry-run] [--provenance] [--registry URL] [--tag TAG]";

function options() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        "dry-run": { type: "boolean", default: false },
        provenance: { type: "boolean", default: false },
        registry: { type: "string" },
        tag: { type: "string" },
      },
    });
    if (positionals.length === 0) throw new Error("A folder with tarballs is needed.");
    return { ...values, folders: positionals };
  } catch (error) {
    process.stderr.write(`${error.message}\n${USAGE}\n`);
    return process.exit(2);
  }
}

/** @returns {{ file: string, name: string, version: string, needs: string[] }} */
function readTarball(file) {
  const result = spawnSync("tar", ["-xzOf", path.basename(file), "package/package.json"], {
    cwd: path.dirname(file),
    encoding: "utf8",
  });
  if (result.status !== 0) fail(`${file} is no npm package: ${result.stderr}`);
  const { name, version, dependencies, optionalDependencies } = JSON.parse(result.stdout);
  return { file, name, version, needs: Object.keys({ ...dependencies, ...optionalDependencies }) };
}

/** Each package after those of `packages` that it needs. */
function inOrder(packages) {
  const sorted = [];
  const visit = (entry, path_) => {
    if (sorted.includes(entry)) return;
    if (path_.includes(entry)) {
      fail(`These need each other: ${[...path_, entry].map(({ name }) => name).join(" -> ")}.`);
    }
    for (const name of entry.needs) {
      const needed = packages.find((other) => other.name === name);
      if (needed) visit(needed, [...path_, entry]);
    }
    sorted.push(entry);
  };
  for (const entry of packages) visit(entry, []);
  return sorted;
}

const settings = options();
const registry = settings.registry ? ["--registry", settings.registry] : [];
const packages = settings.folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".tgz"))
    .map((name) => readTarball(path.resolve(folder, name))),
);
if (packages.length === 0) fail(`There is no .tgz in ${settings.folders.join(", ")}.`);

/** Whether the registry has it; another answer than "yes" and "no such package" ends the release. */
function isPublished({ name, version }) {
  const found = npm(["view", `${name}@${version}`, "version", "--json", ...registry]);
  if (found.status === 0) return found.stdout.trim() !== "";
  if (/\bE404\b/.test(found.stdout + found.stderr)) return false;
  return fail(`npm view ${name}@${version} failed: ${found.stderr.trim()}`);
}

for (const entry of inOrder(packages)) {
  const label = `${entry.name}@${entry.version} (${statSync(entry.file).size} bytes)`;
  if (isPublished(entry)) {
    console.log(`${label}: there already`);
    continue;
  }
  const published = npm([
    ...["publish", entry.file, "--access", "public", ...registry],
    ...(settings.tag ? ["--tag", settings.tag] : []),
    // Said either way: a dependency's own publishConfig may ask for it.
    `--provenance=${settings.provenance}`,
    "--loglevel=error",
    ...(settings["dry-run"] ? ["--dry-run"] : []),
  ]);
  if (published.status !== 0) fail(`${label} was not published:\n${published.stderr.trim()}`);
  console.log(`${label}: ${settings["dry-run"] ? "would be published" : "published"}`);
}
