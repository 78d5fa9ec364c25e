import { existsSync, readFileSync, realpathSync } from "node:fs";
import path from "node:path";
import { fail, root } from "../process.mjs";
import { npmPack } from "./npm.mjs";

function manifestOf(directory) {
  return JSON.parse(readFileSync(path.join(directory, "package.json"), "utf8"));
}

/** The folder that `require` would find `name` in, from `directory`. */
function installed(name, directory) {
  for (let folder = directory; ; folder = path.dirname(folder)) {
    const found = path.join(folder, "node_modules", name);
    if (existsSync(path.join(found, "package.json"))) return realpathSync(found);
    if (path.dirname(folder) === folder) fail(`${name} is not installed: npm install`);
  }
}

/** Makes tarballs of what wavegpt needs at run time, and what that needs, as installed here. @returns their names */
export function packDependencies(out) {
  const found = new Map();
  const visit = (directory) => {
    for (const name of Object.keys(manifestOf(directory).dependencies ?? {})) {
      const folder = installed(name, directory);
      if (found.has(folder)) continue;
      found.set(folder, name);
      visit(folder);
    }
  };
  visit(root);
  return [...found.keys()].map((folder) => npmPack(folder, out));
}
