import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import {
  MANIFEST,
  type Manifest,
  type ManifestPart,
  PARTS,
  type PartName,
  PROGRESS,
  readManifest,
  TOKENIZER,
} from "../data/manifest.js";
import { writeFileAtomic } from "../run/atomic.js";
import { lockRun } from "../run/lock.js";
import { type Batch, readBatches } from "./batches.js";
import type { EncodeAnswer } from "./encoding.js";
import { makeFolder, openFolder } from "./folder.js";
import { Meter, type PrepareEvent } from "./meter.js";
import { checkOptions, openSource, type PrepareOptions } from "./options.js";
import { EncoderPool } from "./pool.js";
import { type PartProgress, type Progress, type Written, writeProgress } from "./progress.js";
import { NO_SHARDS, ShardWriter } from "./shards.js";
import { BEGINNING } from "./source.js";
import { SPLIT_RULE } from "./split.js";
import { documentTokenizer } from "./tokenizer.js";

/** How preparing ended. */
export interface PrepareResult {
  /** The folder, absolute. */
  readonly out: string;
  /** False where it was interrupted; it can be gone on with. */
  readonly finished: boolean;
  readonly documents: number;
  readonly tokens: number;
}

/** At most so much work is lost to a power cut or `kill -9`. */
const COMMIT_SECONDS = 1;

const NOTHING: PartProgress = { documents: 0, characters: 0, bytes: 0, shards: NO_SHARDS };
const BEGUN: Written = {
  position: BEGINNING,
  open: null,
  emptyDocuments: 0,
  parts: { train: NOTHING, val: NOTHING },
};

/** The folder's content so far, in memory and on the disk. */
class Output {
  #written: Written;
  #fileStart: Written;
  readonly #sums: Record<PartName, { documents: number; characters: number; bytes: number }>;
  #empty: number;
  #committed = performance.now();

  private constructor(
    private readonly folder: string,
    private readonly plan: Progress["plan"],
    private readonly writers: Readonly<Record<PartName, ShardWriter>>,
    written: Written,
    fileStart: Written,
  ) {
    this.#written = written;
    this.#fileStart = fileStart;
    const sumsOf = ({ documents, characters, bytes }: PartProgress) => ({
      documents,
      characters,
      bytes,
    });
    this.#sums = { train: sumsOf(written.parts.train), val: sumsOf(written.parts.val) };
    this.#empty = written.emptyDocuments;
  }

  static async open(
    folder: string,
    plan: Progress["plan"],
    progress: Progress | null,
    { dtype, shardTokens }: { dtype: Manifest["dtype"]; shardTokens: number },
  ): Promise<Output> {
    const written: Written = progress ?? BEGUN;
    const { position, open, emptyDocuments, parts } = written;
    const writer = (part: PartName) =>
      ShardWriter.open(folder, part, dtype, shardTokens, parts[part].shards);
    const output = new Output(
      folder,
      plan,
      { train: await writer("train"), val: await writer("val") },
      { position, open, emptyDocuments, parts },
      progress?.fileStart ?? BEGUN,
    );
    output.#write();
    return output;
  }

  /** What there is up to a place where reading can begin. */
  get written(): Written {
    return this.#written;
  }

  add(batch: Batch, answer: Extract<EncodeAnswer, { parts: unknown }>): void {
    for (const [index, part] of PARTS.entries()) {
      const { tokens, documents, characters, bytes } = answer.parts[index]!;
      const sums = this.#sums[part];
      this.writers[part].append(tokens);
      sums.documents += documents;
      sums.characters += characters;
      sums.bytes += bytes;
    }
    this.#empty += answer.empty;
    // In the middle of a row there is no going on: what was written of it is cut off if this is the end.
    if (batch.after === null) return;
    const newFile = batch.after.file !== this.#written.position.file;
    const progressOf = (part: PartName): PartProgress => ({
      ...this.#sums[part],
      shards: this.writers[part].written,
    });
    this.#written = {
      position: batch.after,
      open: batch.open,
      emptyDocuments: this.#empty,
      parts: { train: progressOf("train"), val: progressOf("val") },
    };
    if (newFile) this.#fileStart = this.#written;
    if (newFile || performance.now() - this.#committed > 1000 * COMMIT_SECONDS) this.commit();
  }

  /** Puts all that was added on the disk. */
  commit(): void {
    for (const part of PARTS) this.writers[part].sync();
    this.#write();
  }

  /** Gives up what was added of the current file. */
  rollBack(): void {
    this.#written = this.#fileStart;
    this.#write();
  }

  async finish(): Promise<Record<PartName, ManifestPart>> {
    this.commit();
    const part = async (name: PartName): Promise<ManifestPart> => {
      const { documents, characters, bytes } = this.#written.parts[name];
      const shards = await this.writers[name].finish();
      const tokens = shards.reduce((sum, shard) => sum + shard.tokens, 0);
      return { documents, tokens, characters, bytes, shards };
    };
    return { train: await part("train"), val: await part("val") };
  }

  close(): void {
    for (const part of PARTS) this.writers[part].close();
  }

  #write(): void {
    const { plan } = this;
    writeProgress(this.folder, {
      version: 1,
      plan,
      ...this.#written,
      fileStart: this.#fileStart,
    });
    this.#committed = performance.now();
  }
}

function checked(batch: Batch, answer: EncodeAnswer): Extract<EncodeAnswer, { parts: unknown }> {
  if ("parts" in answer) return answer;
  const invalid = "invalid" in answer;
  const place = batch.places[invalid ? answer.invalid : answer.piece];
  throw new WaveGPTError(
    "ERR_WAVEGPT_DATA",
    `${place}: ${invalid ? "is not valid UTF-8." : answer.error}`,
  );
}

/**
 * Turns documents into shards of tokens, split into a part for training and one for validation, with a manifest. Memory
 * is bounded whatever the size of the input. Needs no libtorch.
 *
 * @throws UsageError for options or a folder that cannot be used
 * @throws WaveGPTError ERR_WAVEGPT_DATA naming the file and the row that cannot be read, ERR_WAVEGPT_HUB,
 * ERR_WAVEGPT_CHECKSUM, ERR_WAVEGPT_WRITE; what was written stays, and `resume` goes on with it
 */
export async function prepare(given: PrepareOptions): Promise<PrepareResult> {
  const options = checkOptions(given);
  const { out, validation, textColumn, separator, shardTokens, documents, signal } = options;
  const emit = options.onEvent ?? (() => {});
  const tokenizer = documentTokenizer(options.tokenizer);
  const source = await openSource(options, (message) => emit({ type: "notice", message }));
  try {
    const plan = {
      source: source.describe(),
      files: source.files.map(({ name, version }) => [name, version]),
      tokenizer: tokenizer.describe(),
      ...{ validation, textColumn, separator, shardTokens, documents },
    };
    makeFolder(out);
    using _lock = lockRun(out, "preparing text");
    const progress = openFolder(out, plan, options);
    if (progress === "finished") {
      emit({ type: "notice", message: `${out} is finished already.` });
      return { out, finished: true, ...counts(readManifest(out)) };
    }
    const output = await Output.open(out, plan, progress, {
      dtype: tokenizer.dtype,
      shardTokens,
    });
    const { workers = availableParallelism() } = options;
    const pool = new EncoderPool(workers, { tokenizer: options.tokenizer, validation });
    const meter = new Meter(source.files, documents, output.written, emit);
    emit({ type: "start", out, files: source.files.length, workers, resumed: progress !== null });
    try {
      const { position, open, parts, emptyDocuments } = output.written;
      const begun = parts.train.documents + parts.val.documents + emptyDocuments;
      const batches = readBatches({
        source,
        layout: { textColumn, separator },
        validation,
        from: position,
        open,
        documents: documents === null ? null : documents - begun,
        signal,
      });
      await pump(batches, pool, 2 * workers + 2, (batch, answer) => {
        const encoded = checked(batch, answer);
        output.add(batch, encoded);
        const tokens = encoded.parts.reduce((sum, part) => sum + part.tokens.length, 0);
        meter.update(output.written, batch.stored, tokens);
      });
      if (signal?.aborted) {
        output.commit();
        return { out, finished: false, ...soFar(output.written) };
      }
      return await finish(out, output, { tokenizer, source, validation, emit, meter });
    } catch (error) {
      if (error instanceof WaveGPTError && error.code === "ERR_WAVEGPT_CHECKSUM") output.rollBack();
      else commitWhatCan(output);
      throw error;
    } finally {
      output.close();
      await pool.close();
    }
  } finally {
    await source.close();
  }
}

/** Keeps the threads busy, and takes their answers in order; what came before an error is taken first. */
async function pump(
  batches: AsyncGenerator<Batch>,
  pool: EncoderPool,
  most: number,
  take: (batch: Batch, answer: EncodeAnswer) => void,
): Promise<void> {
  const under: { batch: Batch; answer: Promise<EncodeAnswer> }[] = [];
  const takeOne = async () => {
    const { batch, answer } = under.shift()!;
    take(batch, await answer);
  };
  let failure: unknown = null;
  try {
    for await (const batch of batches) {
      const answer = pool.encode(batch.request);
      // It may fail before anyone waits for it.
      answer.catch(() => {});
      under.push({ batch, answer });
      while (under.length >= most) await takeOne();
    }
  } catch (error) {
    failure = error;
  }
  while (under.length > 0) await takeOne();
  if (failure !== null) throw failure;
}

/** Keeps the work before an error; a full disk, say, must not hide the error by another one. */
function commitWhatCan(output: Output): void {
  try {
    output.commit();
  } catch {
    // The last commit stays.
  }
}

function counts({ train, val }: Pick<Manifest, PartName>) {
  return { documents: train.documents + val.documents, tokens: train.tokens + val.tokens };
}

function soFar({ parts }: Written) {
  const sum = (of: (part: PartProgress) => number) => of(parts.train) + of(parts.val);
  return {
    documents: sum(({ documents }) => documents),
    tokens: sum(({ shards: { full, partial } }) =>
      full.reduce((tokens, shard) => tokens + shard.tokens, partial),
    ),
  };
}

async function finish(
  out: string,
  output: Output,
  run: {
    tokenizer: ReturnType<typeof documentTokenizer>;
    source: Awaited<ReturnType<typeof openSource>>;
    validation: number;
    emit: (event: PrepareEvent) => void;
    meter: Meter;
  },
): Promise<PrepareResult> {
  const { tokenizer, source, validation, emit } = run;
  const { emptyDocuments, position } = output.written;
  const { train, val } = await output.finish();
  if (train.documents + val.documents === 0) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DATA",
      `${source.files.map(({ name }) => name).join(", ")}: there is no document with text in it.`,
    );
  }
  const manifest: Manifest = {
    format: "wavegpt-tokens",
    version: 1,
    dtype: tokenizer.dtype,
    tokenizer: tokenizer.describe(),
    endOfText: tokenizer.endOfText,
    source: {
      ...source.describe(),
      files: source.files
        .slice(0, position.row > 0 || position.byte > 0 ? position.file + 1 : position.file)
        .map((file) => file.describe()),
    },
    split: { rule: SPLIT_RULE, validation },
    emptyDocuments,
    train,
    val,
  };
  writeFileAtomic(join(out, TOKENIZER), `${JSON.stringify(tokenizer)}\n`);
  writeFileAtomic(join(out, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  rmSync(join(out, PROGRESS), { force: true });
  for (const [part, { documents }] of [
    ["training", train],
    ["validation", val],
  ] as const) {
    if (documents === 0 && (part === "training" || validation > 0)) {
      emit({
        type: "notice",
        message: `No document fell into the ${part} part, and a model needs both: with few documents, choose another --validation than ${validation}, or say with --separator what stands between documents.`,
      });
    }
  }
  run.meter.finish();
  emit({ type: "end", out, train, val, emptyDocuments, dtype: manifest.dtype });
  return { out, finished: true, ...counts({ train, val }) };
}
