import { WaveGPTError } from "../lib/errors.js";
import { fetchWheels, wheelsFor } from "../lib/libtorch/fetch-wheels.js";
import { cachedLibtorch } from "../lib/libtorch/fill-cache.js";
import { cachedLibtorchRoot, LIBTORCH_VERSION } from "../lib/libtorch/index.js";
import { packageIndex } from "../lib/libtorch/package-index.js";
import { cudaDriver, cudaWanted } from "../lib/libtorch/platform.js";
import { planWheels, totalsOf } from "../lib/libtorch/wheel-plan.js";
import type { WheelBuild } from "../lib/libtorch/wheel-selection.js";
import { RemoteFiles, withoutCredentials } from "../lib/network/remote-files.js";

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 })} MB`;
}

/** What `wavegpt install` would fetch: a line for each file, with its bytes in the wheel, and their sum. */
export async function listLibtorch(build: WheelBuild): Promise<string> {
  const remote = new RemoteFiles();
  const index = packageIndex();
  try {
    const planned = await planWheels(remote, index, wheelsFor(build), build);
    const lines = planned.flatMap(({ wheel, members }) => {
      const wanted = totalsOf([{ members }]);
      const head = `${wheel.file}: ${megabytes(wanted.packed)} of ${megabytes(wheel.size)}`;
      return [
        head,
        ...members.map(({ member }) => `  ${megabytes(member.packed).padStart(9)}  ${member.name}`),
      ];
    });
    const { packed, size } = totalsOf(planned);
    lines.push(
      `${megabytes(packed)} to fetch from ${withoutCredentials(index)}, ${megabytes(size)} on the disk.`,
    );
    return lines.join("\n");
  } catch (error) {
    if (error instanceof WaveGPTError) throw error;
    throw new WaveGPTError("ERR_WAVEGPT_LIBTORCH_FETCH", (error as Error).message, {
      cause: error,
    });
  } finally {
    await remote.close();
  }
}

/** Fetches a build of libtorch into the cache, unless it is there. @returns what to know about it, in lines */
export function installLibtorch(build: WheelBuild): string {
  const already = cachedLibtorch(cachedLibtorchRoot(build));
  if (already === null && process.env.WAVEGPT_NO_DOWNLOAD === "1") {
    throw new WaveGPTError(
      "ERR_WAVEGPT_LIBTORCH_FETCH",
      `libtorch ${LIBTORCH_VERSION} (${build}) is not in the cache, and --offline or WAVEGPT_NO_DOWNLOAD=1 forbids fetching it.`,
    );
  }
  const directory = already ?? fetchWheels(build);
  const lines = [`libtorch ${LIBTORCH_VERSION} (${build}) is in ${directory}`];
  const named = ["WAVEGPT_LIBTORCH", "LIBTORCH"].find((name) => process.env[name]);
  if (named !== undefined) lines.push(`${named} is set, and comes before it.`);
  else if (build === "cuda" && cudaDriver() === null) {
    lines.push("No NVIDIA driver was found on this machine: it is taken where there is one.");
  } else if (build === "cuda" && !cudaWanted()) {
    lines.push(
      "WAVEGPT_CUDA or CUDA_VISIBLE_DEVICES hides the GPU: it is taken where they do not.",
    );
  }
  return lines.join("\n");
}
