import { spawn } from "node:child_process";
import {
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { npmProgram } from "./npm.js";

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, as they came. */
  readonly output: string;
  readonly seconds: number;
}

export interface UserCommand {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A shell's words before the command, e.g. `ulimit -f 100;`. */
  readonly shell?: string;
}

const nobody = 65534;
const asRoot = process.getuid?.() === 0;

/**
 * Somebody with a new account: an empty home, no rights, no settings, and on the PATH only Node, npm and the shell that
 * npm starts programs with. Root's tests run it as `nobody`.
 */
export class User {
  readonly home: string;
  readonly #bin: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(programs: Readonly<Record<string, string>> = {}) {
    this.home = mkdtempSync(path.join(realpathSync(tmpdir()), "wavegpt-user-"));
    this.#bin = path.join(this.home, "bin");
    mkdirSync(this.#bin);
    const links = {
      node: process.execPath,
      npm: npmProgram("npm"),
      npx: npmProgram("npx"),
      sh: "/bin/sh",
      ...programs,
    };
    for (const [name, target] of Object.entries(links)) {
      symlinkSync(target, path.join(this.#bin, name));
    }
    this.#env = {
      PATH: this.#bin,
      HOME: this.home,
      TMPDIR: this.folder("tmp"),
      // Neither of another user's npm nor of the registry in it.
      npm_config_cache: path.join(this.home, ".npm"),
      npm_config_update_notifier: "false",
      npm_config_fund: "false",
      npm_config_audit: "false",
      NO_COLOR: "1",
      OMP_WAIT_POLICY: "PASSIVE",
    };
    this.own(this.home);
  }

  /** Makes a folder of the user's, with files in it. */
  folder(name: string, files: Readonly<Record<string, string>> = {}): string {
    const folder = path.join(this.home, name);
    mkdirSync(folder, { recursive: true });
    this.own(folder);
    for (const [file, text] of Object.entries(files)) {
      writeFileSync(path.join(folder, file), text);
      this.own(path.join(folder, file));
    }
    return folder;
  }

  /** Copies files to where the user can read them; returns their names there. */
  give(files: readonly string[], name: string): string[] {
    const folder = this.folder(name);
    return files.map((file) => {
      const copy = path.join(folder, path.basename(file));
      copyFileSync(file, copy);
      return copy;
    });
  }

  own(file: string): void {
    if (asRoot) chownSync(file, nobody, nobody);
  }

  /** Runs a program of the user's PATH, or of `cwd`'s node_modules by npx. */
  run(program: string, args: readonly string[], command: UserCommand = {}): Promise<Finished> {
    const started = performance.now();
    const file = path.join(this.#bin, program);
    const quoted = [file, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const [program_, words] =
      command.shell === undefined
        ? [file, args]
        : ["/bin/sh", ["-c", `${command.shell} exec ${quoted}`]];
    return new Promise((resolve, reject) => {
      const child = spawn(program_, words, {
        cwd: command.cwd ?? this.home,
        env: { ...this.#env, ...command.env },
        stdio: ["ignore", "pipe", "pipe"],
        ...(asRoot ? { uid: nobody, gid: nobody } : {}),
      });
      const texts = { stdout: "", stderr: "", output: "" };
      for (const stream of ["stdout", "stderr"] as const) {
        child[stream].setEncoding("utf8").on("data", (text: string) => {
          texts[stream] += text;
          texts.output += text;
        });
      }
      child.on("error", reject);
      child.on("close", (status) => {
        resolve({ status, ...texts, seconds: (performance.now() - started) / 1000 });
      });
    });
  }

  /** The same, and throws with what it printed where it fails. */
  async succeed(
    program: string,
    args: readonly string[],
    command: UserCommand = {},
  ): Promise<Finished> {
    const finished = await this.run(program, args, command);
    if (finished.status !== 0) {
      throw new Error(
        `${program} ${args.join(" ")} ended with status ${finished.status}:\n${finished.output}`,
      );
    }
    return finished;
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}
