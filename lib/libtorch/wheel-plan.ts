import { createHash } from "node:crypto";
import type { RemoteFiles } from "../network/remote-files.js";
import { projectFiles } from "./package-index.js";
import { parseRecord } from "./record.js";
import { RemoteWheel, type WheelMember } from "./remote-wheel.js";
import { isWanted, type Wheel, type WheelBuild } from "./wheel-selection.js";

/** A file that is to be fetched, and what it must be. */
export interface PlannedMember {
  readonly member: WheelMember;
  /** In URL-safe base64 without padding. */
  readonly sha256: string;
}

/** A wheel on the index, and what of it is to be fetched. */
export interface PlannedWheel {
  readonly wheel: Wheel;
  readonly remote: RemoteWheel;
  readonly members: readonly PlannedMember[];
}

async function planWheel(
  remote: RemoteFiles,
  index: string,
  wheel: Wheel,
  build: WheelBuild,
): Promise<PlannedWheel> {
  const listed = (await projectFiles(remote, index, wheel.project)).find(
    ({ name }) => name === wheel.file,
  );
  if (listed === undefined) throw new Error(`the package index does not list ${wheel.file}`);
  if (listed.sha256 !== null && listed.sha256 !== wheel.sha256) {
    throw new Error(
      `${wheel.file}: expected one with SHA-256 ${wheel.sha256}, the package index has one with ${listed.sha256}`,
    );
  }
  const opened = await RemoteWheel.open(remote, listed.address, wheel.size);
  const recordMember = opened.members.find(({ name }) => /^[^/]+\.dist-info\/RECORD$/.test(name));
  if (recordMember === undefined) throw new Error(`${wheel.file} has no RECORD`);
  const record = await opened.read(recordMember);
  const found = createHash("sha256").update(record).digest("hex");
  if (found !== wheel.record) {
    throw new Error(`RECORD of ${wheel.file}: expected SHA-256 ${wheel.record}, found ${found}`);
  }
  const sums = new Map(
    parseRecord(record.toString("utf8")).map(({ file, sha256 }) => [file, sha256]),
  );
  const members = opened.members
    .filter((member) => isWanted(member, wheel.project, build))
    .map((member) => {
      const sha256 = sums.get(member.name);
      if (!sha256) throw new Error(`RECORD of ${wheel.file} does not list ${member.name}`);
      return { member, sha256 };
    });
  return { wheel, remote: opened, members };
}

/**
 * Finds the wheels on the package index and what of each is needed. Only their directories and records are read.
 *
 * @param index address of the package index, without a slash at its end
 * @throws Error where the index lacks one, or has another file under its name
 */
export async function planWheels(
  remote: RemoteFiles,
  index: string,
  wheels: readonly Wheel[],
  build: WheelBuild,
): Promise<PlannedWheel[]> {
  const planned: PlannedWheel[] = [];
  for (const wheel of wheels) planned.push(await planWheel(remote, index, wheel, build));
  return planned;
}

/** Bytes to fetch, and bytes on the disk afterwards. */
export function totalsOf(planned: readonly Pick<PlannedWheel, "members">[]): {
  packed: number;
  size: number;
} {
  const members = planned.flatMap((wheel) => wheel.members);
  return {
    packed: members.reduce((sum, { member }) => sum + member.packed, 0),
    size: members.reduce((sum, { member }) => sum + member.size, 0),
  };
}
