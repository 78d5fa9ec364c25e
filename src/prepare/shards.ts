import { createHash, type Hash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { PartName, Shard } from "../data/manifest.js";
import { NPY_HEADER, npyHeader, TOKEN_BYTES, type TokenDtype } from "../data/token-file.js";
import { syncDirectory } from "../run/atomic.js";
import { writing } from "../run/failure.js";
import type { TokenArray } from "../tokenizer/index.js";

/** What has been written of a part. */
export interface WrittenShards {
  /** Those that are full. */
  readonly full: readonly Shard[];
  /** Tokens of the one that is not. */
  readonly partial: number;
}

export const NO_SHARDS: WrittenShards = { full: [], partial: 0 };

/** E.g. `train-00012.npy`: the order of the names is that of the shards, and `numpy.load` reads each. */
function shardName(part: PartName, index: number): string {
  return `${part}-${String(index).padStart(5, "0")}.npy`;
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

async function hashOf(path: string, bytes: number): Promise<Hash> {
  const hash = createHash("sha256");
  if (bytes > 0) {
    for await (const chunk of createReadStream(path, { end: bytes - 1 })) hash.update(chunk);
  }
  return hash;
}

/** Writes a part's tokens into shards of `shardTokens` each; what was not {@link sync}ed may be lost. */
export class ShardWriter {
  readonly #full: Shard[];
  #open: {
    readonly path: string;
    readonly fd: number;
    readonly hash: Hash;
    tokens: number;
  } | null = null;

  private constructor(
    private readonly folder: string,
    private readonly part: PartName,
    private readonly dtype: TokenDtype,
    private readonly shardTokens: number,
    full: readonly Shard[],
  ) {
    this.#full = [...full];
  }

  /** Goes on after what was written, and removes what is there beyond it. */
  static async open(
    folder: string,
    part: PartName,
    dtype: TokenDtype,
    shardTokens: number,
    { full, partial }: WrittenShards,
  ): Promise<ShardWriter> {
    const writer = new ShardWriter(folder, part, dtype, shardTokens, full);
    const kept = full.length + (partial > 0 ? 1 : 0);
    for (const name of readdirSync(folder)) {
      const index = new RegExp(`^${part}-(\\d+)\\.npy$`).exec(name)?.[1];
      if (index !== undefined && Number(index) >= kept) rmSync(join(folder, name));
    }
    if (partial > 0) {
      const path = join(folder, shardName(part, full.length));
      const bytes = NPY_HEADER + partial * TOKEN_BYTES[dtype];
      const fd = writing(path, () => openSync(path, "r+"));
      writing(path, () => {
        ftruncateSync(fd, bytes);
        // A run that ended while it finished this shard has written that it is shorter.
        writeSync(fd, npyHeader(dtype, shardTokens), 0, NPY_HEADER, 0);
      });
      closeSync(fd);
      const hash = await hashOf(path, bytes);
      writer.#open = { path, fd: openSync(path, "a"), hash, tokens: partial };
    }
    return writer;
  }

  append(tokens: TokenArray): void {
    for (let at = 0; at < tokens.length; ) {
      this.#open ??= this.#create();
      const shard = this.#open;
      const count = Math.min(tokens.length - at, this.shardTokens - shard.tokens);
      const part = tokens.subarray(at, at + count);
      this.#write(shard, new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
      shard.tokens += count;
      at += count;
      if (shard.tokens === this.shardTokens) this.#close();
    }
  }

  /** What has been written so far. */
  get written(): WrittenShards {
    return { full: [...this.#full], partial: this.#open?.tokens ?? 0 };
  }

  /** Puts on the disk what has been written so far. */
  sync(): void {
    const shard = this.#open;
    if (shard !== null) writing(shard.path, () => fsyncSync(shard.fd));
  }

  /** Ends the last shard, which may be shorter than the others. */
  async finish(): Promise<Shard[]> {
    const shard = this.#open;
    if (shard !== null) {
      closeSync(shard.fd);
      this.#open = null;
      // Its header said that it would be as long as the others.
      const fd = writing(shard.path, () => openSync(shard.path, "r+"));
      writing(shard.path, () => {
        writeSync(fd, npyHeader(this.dtype, shard.tokens), 0, NPY_HEADER, 0);
        fsyncSync(fd);
      });
      closeSync(fd);
      const hash = await hashOf(shard.path, NPY_HEADER + shard.tokens * TOKEN_BYTES[this.dtype]);
      const file = shardName(this.part, this.#full.length);
      this.#full.push({ file, tokens: shard.tokens, sha256: hash.digest("hex") });
      syncDirectory(this.folder);
    }
    return [...this.#full];
  }

  /** Gives the file free; what was synced stays. */
  close(): void {
    if (this.#open !== null) closeSync(this.#open.fd);
    this.#open = null;
  }

  #create() {
    const path = join(this.folder, shardName(this.part, this.#full.length));
    const fd = writing(path, () => openSync(path, "w"));
    const shard = { path, fd, hash: createHash("sha256"), tokens: 0 };
    this.#write(shard, npyHeader(this.dtype, this.shardTokens));
    return shard;
  }

  #write(shard: { path: string; fd: number; hash: Hash }, bytes: Uint8Array): void {
    writing(shard.path, () => writeWhole(shard.fd, bytes));
    shard.hash.update(bytes);
  }

  #close(): void {
    const { path, fd, hash, tokens } = this.#open!;
    writing(path, () => fsyncSync(fd));
    closeSync(fd);
    this.#full.push({
      file: shardName(this.part, this.#full.length),
      tokens,
      sha256: hash.digest("hex"),
    });
    this.#open = null;
  }
}
