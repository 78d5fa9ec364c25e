import { npm } from "../npm.mjs";
import { fail } from "../process.mjs";

/** Makes `directory` a tarball in `out`, without running its scripts. @returns the tarball's name */
export function npmPack(directory, out) {
  const result = npm(["pack", directory, "--json", "--ignore-scripts", "--pack-destination", out], {
    cwd: out,
  });
  if (result.status !== 0) fail(`npm pack ${directory}: ${result.stderr}`);
  const told = JSON.parse(result.stdout);
  // A list until npm 11, keyed by name since.
  const [{ filename }] = Object.values(told);
  return filename.replace(/^@/, "").replaceAll("/", "-");
}
