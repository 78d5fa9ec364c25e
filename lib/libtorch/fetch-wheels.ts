import { spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { cachedLibtorchRoot } from "./cache.js";
import { fail, fillCache, type Staged } from "./fill-cache.js";
import { say } from "./telling.js";
import { LIBTORCH_VERSION } from "./version.js";
import type { Wheel, WheelBuild } from "./wheel-selection.js";
import { WHEELS } from "./wheels.js";

const WORKER = fileURLToPath(new URL("./wheel-worker.js", import.meta.url));

/** The wheels that hold a build for this platform. @throws WaveGPTError where there is none */
export function wheelsFor(build: WheelBuild): readonly Wheel[] {
  const platform = `${process.platform}-${process.arch}`;
  const wheels = WHEELS[platform]?.[build] ?? [];
  if (wheels.length > 0) return wheels;
  return fail(
    build === "cuda"
      ? `the Python package index has no CUDA build for ${platform}. On Windows, install torch ${LIBTORCH_VERSION} from PyTorch's own index and set WAVEGPT_LIBTORCH to its folder.`
      : `the Python package index has no build for ${platform}.`,
  );
}

function stage(build: WheelBuild, wheels: readonly Wheel[], downloads: string): Staged {
  const directory = path.join(downloads, "site-packages");
  say(`fetching libtorch ${LIBTORCH_VERSION} (${build}) once, into the cache`);
  const run = spawnSync(process.execPath, [WORKER, JSON.stringify({ wheels, build, directory })], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    // Node reads its own variable only; a company's certificates are often in the one that OpenSSL reads.
    env: { NODE_EXTRA_CA_CERTS: process.env.SSL_CERT_FILE, ...process.env },
  });
  if (run.status !== 0) {
    const reason = run.stdout || run.error?.message || `ended by ${run.signal ?? run.status}`;
    fail(`${reason}. The same command goes on where this one ended.`);
  }
  return { directory, wheel: wheels[0]?.file ?? "" };
}

/**
 * Fills the user's cache with what libtorch needs at run time, without Python: from the wheels of the Python package
 * index or its mirror ({@link packageIndex}), of which only the libraries are fetched. Every file is compared with a
 * SHA-256 that this package knows; a second try goes on where the first ended. Progress goes to stderr.
 *
 * @returns the folder that holds `lib/`
 * @throws WaveGPTError `ERR_WAVEGPT_LIBTORCH_FETCH`
 */
export function fetchWheels(build: WheelBuild): string {
  const wheels = wheelsFor(build);
  return fillCache(cachedLibtorchRoot(build), (_, downloads) => stage(build, wheels, downloads));
}
