import { createHash } from "node:crypto";
import { WaveGPTError } from "../../lib/errors.js";
import { UsageError } from "../config/usage-error.js";
import type { DataFile, Source } from "../prepare/source.js";
import { matcher } from "../prepare/sources/glob.js";
import { FORMATS } from "../prepare/sources/read.js";
import { checksumError } from "../prepare/sources/spans.js";
import { HubClient, type HubOptions, type HubResponse } from "./client.js";

export interface DatasetOptions extends HubOptions {
  /** E.g. `"Skylion007/openwebtext"`. */
  readonly dataset: string;
  /** A branch, tag or commit; default `"main"`. */
  readonly revision?: string | undefined;
  /** Which of its files, as a glob; default: those of the split `train`, in the kind that there is. */
  readonly files?: string | undefined;
}

/** Where the hub keeps parquet copies of datasets in other formats. */
const CONVERTED = "refs/convert/parquet";
const SPLITS = /(^|[/_.-])(train|validation|valid|val|test|dev|eval)([/_.-]|$)/i;
const TRAIN = /(^|[/_.-])train([/_.-]|$)/i;

interface TreeEntry {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  readonly oid: string;
  readonly lfs?: { readonly oid: string; readonly size: number };
}

const encodePath = (path: string) => path.split("/").map(encodeURIComponent).join("/");

/** A dataset at one commit. */
class Snapshot {
  constructor(
    private readonly client: HubClient,
    readonly dataset: string,
    readonly commit: string,
  ) {}

  /** Every file below its root. */
  async tree(): Promise<TreeEntry[]> {
    const entries: TreeEntry[] = [];
    let address: string | null =
      `${this.client.endpoint}/api/datasets/${this.dataset}/tree/${this.commit}?recursive=true&expand=false`;
    while (address !== null) {
      const { value, next }: { value: unknown; next: string | null } =
        await this.client.json(address);
      if (!Array.isArray(value)) {
        throw new WaveGPTError("ERR_WAVEGPT_HUB", `${address}: expected a list of files.`);
      }
      entries.push(...(value as TreeEntry[]));
      address = next;
    }
    return entries.filter(({ type }) => type === "file");
  }

  file({ path, size, oid, lfs }: TreeEntry): DataFile {
    const { client, dataset, commit } = this;
    const address = `${client.endpoint}/datasets/${dataset}/resolve/${commit}/${encodePath(path)}`;
    const name = `${dataset}/${path}`;
    const length = lfs?.size ?? size;
    const sha256 = lfs?.oid ?? null;
    const check = ({ headers }: HubResponse) => {
      const etag = headers["x-linked-etag"]?.replace(/^(W\/)?"|"$/g, "");
      const total =
        headers["x-linked-size"] ?? /\/(\d+)$/.exec(headers["content-range"] ?? "")?.[1];
      if (sha256 !== null && etag !== undefined && etag !== sha256) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_CHECKSUM",
          `${name}: expected SHA-256 ${sha256}, but the hub sends a file with ${etag}.`,
        );
      }
      if (total !== undefined && Number(total) !== length) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_CHECKSUM",
          `${name}: expected ${length} bytes, but the hub sends a file of ${total}.`,
        );
      }
    };
    const file: DataFile = {
      name,
      size: length,
      sha256,
      version: sha256 ?? oid,
      describe: () => ({ path, bytes: length, ...(sha256 === null ? { oid } : { sha256 }) }),
      async *stream(from) {
        const hash = from === 0 && sha256 !== null ? createHash("sha256") : null;
        for await (const chunk of client.bytes(address, from, length, check)) {
          hash?.update(chunk);
          yield chunk;
        }
        const found = hash?.digest("hex");
        if (found !== undefined && found !== sha256) throw checksumError(file, found);
      },
      async range(from, to) {
        const bytes = new Uint8Array(to - from);
        let at = 0;
        for await (const chunk of client.bytes(address, from, to, check)) {
          bytes.set(chunk, at);
          at += chunk.length;
        }
        return bytes;
      },
    };
    return file;
  }
}

async function commitOf(client: HubClient, dataset: string, revision: string): Promise<string> {
  const address = `${client.endpoint}/api/datasets/${dataset}/revision/${encodeURIComponent(revision)}`;
  const { value } = await client.json(address);
  const commit = (value as { sha?: unknown } | null)?.sha;
  if (typeof commit === "string") return commit;
  throw new WaveGPTError("ERR_WAVEGPT_HUB", `${address}: expected the commit of the revision.`);
}

/** Of a dataset's files, those to read: of one kind, and of the split `train` where names tell. */
function choose(entries: readonly TreeEntry[], pattern: string | undefined): TreeEntry[] {
  const readable = entries.filter(({ path }) => FORMATS.test(path));
  if (pattern !== undefined) return readable.filter(({ path }) => matcher(pattern)(path));
  const parquet = readable.filter(({ path }) => path.toLowerCase().endsWith(".parquet"));
  const kind = parquet.length > 0 ? parquet : readable;
  const split = kind.filter(({ path }) => TRAIN.test(path));
  return split.length > 0 ? split : kind.filter(({ path }) => !SPLITS.test(path));
}

function checkOneConfiguration(dataset: string, files: readonly TreeEntry[]): void {
  const folderOf = ({ path }: TreeEntry) => path.slice(0, path.lastIndexOf("/") + 1);
  const folders = [...new Set(files.map(folderOf))];
  if (folders.length > 1) {
    throw new UsageError(
      `${dataset}: its files lie in several folders (${folders.slice(0, 8).join(", ")}${folders.length > 8 ? ", ..." : ""}); choose with --files GLOB, e.g. --files '${folders[0]}*'.`,
    );
  }
}

/**
 * A dataset of the Hugging Face hub at the commit that its revision names now, as files to be read by range. Where it
 * has no files of a kind that is read, the hub's own parquet copy of it is taken.
 * @throws UsageError where there is nothing to read or it must be chosen; WaveGPTError ERR_WAVEGPT_HUB
 */
export async function openDataset(options: DatasetOptions): Promise<Source> {
  const { dataset, revision = "main", files: pattern } = options;
  const client = new HubClient(options);
  try {
    let from = revision;
    let commit = await commitOf(client, dataset, from);
    let snapshot = new Snapshot(client, dataset, commit);
    let chosen = choose(await snapshot.tree(), pattern);
    if (chosen.length === 0 && options.revision === undefined && pattern === undefined) {
      from = CONVERTED;
      commit = await commitOf(client, dataset, from);
      snapshot = new Snapshot(client, dataset, commit);
      chosen = choose(await snapshot.tree(), pattern);
    }
    if (chosen.length === 0) {
      throw new UsageError(
        `${dataset}: found no .parquet, .jsonl or .txt files${pattern === undefined ? " of the split train" : ` that match ${pattern}`} in its revision ${from}.`,
      );
    }
    if (pattern === undefined) checkOneConfiguration(dataset, chosen);
    const sorted = [...chosen].sort((a, b) => (a.path < b.path ? -1 : 1));
    return {
      files: sorted.map((entry) => snapshot.file(entry)),
      describe: () => ({ kind: "hub", dataset, revision: from, commit }),
      close: () => client.close(),
    };
  } catch (error) {
    await client.close();
    throw error;
  }
}
