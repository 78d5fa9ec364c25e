import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { cacheDirectory } from "../../lib/libtorch/cache.js";
import { runNpm } from "./npm.js";

const VERSION = "6.8.0";

/** verdaccio, in the user's cache: too large to come with every clone's packages. */
function installedVerdaccio(): string {
  const folder = path.join(cacheDirectory(), `verdaccio-${VERSION}`);
  const program = path.join(folder, "node_modules", "verdaccio", "bin", "verdaccio");
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const manifest = {
    private: true,
    dependencies: { verdaccio: VERSION },
    // One of its parts asks for a tag of node-fetch, which mirrors of the registry do not have.
    overrides: { "node-fetch": "2.6.7" },
  };
  writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
  const install = ["install", "--ignore-scripts", "--no-audit"];
  const { status, stderr } = runNpm("npm", install, folder);
  if (status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`verdaccio could not be installed:\n${stderr}`);
  }
  return program;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** A package registry on this machine's loopback, which knows nothing but what is published to it. */
export class LocalRegistry {
  private constructor(
    readonly address: string,
    private readonly child: ChildProcess,
    private readonly folder: string,
  ) {}

  static async start(): Promise<LocalRegistry> {
    const program = installedVerdaccio();
    const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-registry-"));
    const port = await freePort();
    const configuration = {
      storage: path.join(folder, "storage"),
      uplinks: {},
      packages: { "**": { access: "$all", publish: "$anonymous" } },
      max_body_size: "600mb",
      log: { type: "file", path: path.join(folder, "log"), level: "warn" },
      web: { enable: false },
    };
    const file = path.join(folder, "verdaccio.yaml");
    writeFileSync(file, JSON.stringify(configuration)); // JSON is YAML
    const child = spawn(
      process.execPath,
      [program, "--config", file, "--listen", `127.0.0.1:${port}`],
      { stdio: "ignore", cwd: folder },
    );
    const registry = new LocalRegistry(`http://127.0.0.1:${port}/`, child, folder);
    for (let tries = 0; ; tries++) {
      const up = await fetch(`${registry.address}-/ping`).catch(() => null);
      if (up?.ok) return registry;
      if (tries === 300 || child.exitCode !== null) {
        registry.stop();
        throw new Error(`verdaccio did not answer at ${registry.address}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Publishes the tarballs of a folder as a release does; returns what that printed. */
  publish(folder: string): string {
    const script = path.join(import.meta.dirname, "..", "..", "scripts", "publish.mjs");
    const settings = path.join(this.folder, "npmrc");
    // Anybody may publish there, but npm wants a name for itself.
    writeFileSync(settings, `//${new URL(this.address).host}/:_authToken=anybody\n`);
    const run = spawnSync(process.execPath, [script, folder, "--registry", this.address], {
      encoding: "utf8",
      env: { ...process.env, npm_config_userconfig: settings },
    });
    if (run.status !== 0) throw new Error(`scripts/publish.mjs: ${run.stdout}${run.stderr}`);
    return run.stdout;
  }

  stop(): void {
    this.child.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
