import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The folder of this package: the nearest one above this module whose `package.json` is named `wavegpt`.
 * The same from the sources (`lib/`) and from what is built of them (`dist/lib/`).
 *
 * @throws Error where the module was moved out of its package (bundled, for instance).
 */
export function packageRoot(): string {
  const start = path.dirname(fileURLToPath(import.meta.url));
  for (let directory = start; ; directory = path.dirname(directory)) {
    const file = path.join(directory, "package.json");
    if (existsSync(file) && JSON.parse(readFileSync(file, "utf8")).name === "wavegpt") {
      return directory;
    }
    if (path.dirname(directory) === directory) {
      throw new Error(
        `No package.json named "wavegpt" lies above ${start}. The native addon is found beside it: ` +
          "keep the package in node_modules (mark it external where a bundler is used).",
      );
    }
  }
}

/** Whether this package is a clone of its repository, which can be built, and not one that npm installed. */
export function isClone(): boolean {
  return existsSync(path.join(packageRoot(), "CMakeLists.txt"));
}
