import { spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { cacheDirectory } from "../../lib/libtorch/cache.js";
import { npmProgram, runNpm } from "./npm.js";

const SUITE = "bullseye";
const nobody = "65534:65534";

/** Why Debian 11 cannot be had here, in words, or null. */
export function whyNoOldSystem(): string | null {
  if (process.platform !== "linux")
    return `${process.platform}: an older Debian runs on Linux only`;
  if (process.getuid?.() !== 0) return "debootstrap and chroot are for root (sudo -E npm run ...)";
  if (spawnSync("debootstrap", ["--version"]).error !== undefined) {
    return "debootstrap is not here (Debian and Ubuntu: apt-get install debootstrap)";
  }
  return null;
}

/** The tree of a new Debian 11 (glibc 2.31), made once in the user's cache. */
function debianTree(): string {
  const folder = path.join(cacheDirectory(), `debian-${SUITE}-${process.arch}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cacheDirectory(), { recursive: true });
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  const made = spawnSync("debootstrap", ["--variant=minbase", SUITE, partial], {
    encoding: "utf8",
  });
  if (made.status !== 0) throw new Error(`debootstrap: ${made.stdout}${made.stderr}`);
  renameSync(partial, folder);
  return folder;
}

/** Node's program of a version, from the npm package that ships it, kept in the user's cache. */
function nodeProgram(version: string): string {
  const folder = path.join(cacheDirectory(), `node-${version}-${process.arch}`);
  const program = path.join(folder, "package", "bin", "node");
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const name = `node-linux-${process.arch}`;
  const { status, stdout, stderr } = runNpm(
    "npm",
    ["pack", `${name}@${version}`, "--silent"],
    folder,
  );
  if (status !== 0) throw new Error(`npm pack ${name}@${version}: ${stderr}`);
  const unpacked = spawnSync("tar", ["-xzf", stdout.trim()], { cwd: folder });
  if (unpacked.status !== 0) throw new Error(`${stdout.trim()} could not be unpacked`);
  return program;
}

/** A bare Debian 11 with one version of Node, and npm; somebody without rights works in it. */
export class OldSystem {
  readonly #tree: string;
  readonly #outside: string;
  /** Of its user, as seen from inside. */
  readonly home: string;

  constructor(nodeVersion: string) {
    this.#tree = debianTree();
    this.#outside = mkdtempSync(path.join(this.#tree, "tmp", "wavegpt-"));
    this.home = this.#outside.slice(this.#tree.length);
    const bin = path.join(this.#outside, "bin");
    mkdirSync(bin);
    copyFileSync(nodeProgram(nodeVersion), path.join(bin, "node"));
    const npm = path.dirname(path.dirname(npmProgram("npm")));
    cpSync(npm, path.join(this.#outside, "npm"), { recursive: true, dereference: true });
    for (const name of ["npm", "npx"]) {
      writeFileSync(
        path.join(bin, name),
        `#!/bin/sh\nexec node ${this.home}/npm/bin/${name}-cli.js "$@"\n`,
        { mode: 0o755 },
      );
    }
    spawnSync("chown", ["-R", nobody, this.#outside]);
  }

  write(name: string, text: string): void {
    writeFileSync(path.join(this.#outside, name), text);
    spawnSync("chown", [nobody, path.join(this.#outside, name)]);
  }

  /** Copies files in; returns their names inside. */
  give(files: readonly string[]): string[] {
    return files.map((file) => {
      copyFileSync(file, path.join(this.#outside, path.basename(file)));
      return `${this.home}/${path.basename(file)}`;
    });
  }

  /** Runs a program inside, with /proc in sight for as long as it runs; returns what it printed. */
  run(program: string, ...args: string[]): Promise<string> {
    const inside = [
      ...["env", "-i", `PATH=${this.home}/bin:/usr/bin:/bin`, `HOME=${this.home}`, "NO_COLOR=1"],
      ...["OMP_WAIT_POLICY=PASSIVE", "npm_config_update_notifier=false"],
      ...["sh", "-c", 'cd "$HOME" && exec "$@"', "sh", program, ...args],
    ];
    const mounted =
      'user=$1; shift; mount -t proc proc "$0/proc" && exec chroot --userspec="$user" "$0" "$@"';
    const child = spawn(
      "unshare",
      ["--mount", "sh", "-c", mounted, this.#tree, nobody, ...inside],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status) => {
        if (status === 0) resolve(output);
        else reject(new Error(`${program} ${args.join(" ")}: status ${status}\n${output}`));
      });
    });
  }

  remove(): void {
    rmSync(this.#outside, { recursive: true, force: true });
  }
}
