import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const MAIN = new URL("../dist/src/cli/main.js", import.meta.url);

/**
 * Runs the command line, from the compiled sources.
 * @param {string[]} args without the program's name
 */
export async function run(args) {
  if (!existsSync(fileURLToPath(MAIN))) {
    process.stderr.write(
      "wavegpt: this clone has not been built yet. Run `npm install`, or `npm run build:ts` where only TypeScript changed.\n",
    );
    process.exitCode = 1;
    return;
  }
  const { main } = await import(MAIN.href);
  process.exitCode = await main(args);
}
