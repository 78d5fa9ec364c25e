import { existsSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { RemoteFiles } from "../network/remote-files.js";
import { freeBytes } from "./fill-cache.js";
import { packageIndex } from "./package-index.js";
import { sha256OfFile } from "./record.js";
import { megabytes, say } from "./telling.js";
import { planWheels, totalsOf } from "./wheel-plan.js";
import type { Wheel, WheelBuild } from "./wheel-selection.js";

const REPORT_MILLISECONDS = 200;

/** One line that renews itself on a terminal, one for each tenth elsewhere. */
function progressLine(what: string, total: number): (done: number) => void {
  const terminal = process.stderr.isTTY;
  let told = terminal ? 0 : -1;
  return (done) => {
    if (terminal) {
      if (Date.now() - told < REPORT_MILLISECONDS && done < total) return;
      told = Date.now();
      const end = done < total ? "" : "\n";
      process.stderr.write(`\rwavegpt: ${what}: ${megabytes(done)} of ${megabytes(total)}${end}`);
      return;
    }
    const tenth = Math.floor((10 * done) / total);
    if (tenth === told) return;
    told = tenth;
    say(`${what}: ${megabytes(done)} of ${megabytes(total)}`);
  };
}

function requireSpace(directory: string, needed: number): void {
  const free = freeBytes(directory);
  if (free >= needed) return;
  throw new Error(
    `it needs ${megabytes(needed)} in ${directory}, where ${megabytes(free)} are free. ` +
      "Make room, or set WAVEGPT_CACHE_DIR to a folder on another disk.",
  );
}

/**
 * Fetches what of `wheels` libtorch needs into `directory`, laid out as site-packages: by ranges of bytes, each file
 * compared with its SHA-256. What an earlier try left there is gone on from.
 *
 * @throws Error that names the file or address and what is wrong with it
 */
export async function downloadWheels(
  wheels: readonly Wheel[],
  build: WheelBuild,
  directory: string,
): Promise<void> {
  const remote = new RemoteFiles();
  try {
    mkdirSync(directory, { recursive: true });
    const planned = await planWheels(remote, packageIndex(), wheels, build);
    const { packed, size } = totalsOf(planned);
    const largest = planned
      .flatMap(({ members }) => members)
      .reduce((most, { member }) => Math.max(most, member.packed), 0);
    let done = 0;
    let here = 0;
    const show = progressLine("fetching libtorch", packed);
    const kept = new Set<string>();
    for (const { members } of planned) {
      for (const { member, sha256 } of members) {
        const file = path.join(directory, member.name);
        if (!existsSync(file)) continue;
        if (sha256OfFile(file, "base64url") === sha256) {
          kept.add(member.name);
          done += member.packed;
          here += member.size;
        } else rmSync(file);
      }
    }
    requireSpace(directory, size - here + largest);
    for (const { remote: wheel, members } of planned) {
      for (const { member, sha256 } of members) {
        if (kept.has(member.name)) continue;
        await wheel.extract(member, path.join(directory, member.name), sha256, (count) => {
          done += count;
          show(done);
        });
      }
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOSPC") throw new Error(`the disk of ${directory} is full`, { cause: error });
    throw error;
  } finally {
    await remote.close();
  }
}
