import type { ManifestPart } from "../data/manifest.js";
import { PARTS } from "../data/manifest.js";
import type { Written } from "./progress.js";
import type { DataFile } from "./source.js";

/** What preparing tells its caller, as it happens. */
export type PrepareEvent =
  | {
      readonly type: "start";
      readonly out: string;
      readonly files: number;
      readonly workers: number;
      readonly resumed: boolean;
    }
  | ({ readonly type: "progress" } & PrepareProgress)
  | { readonly type: "notice"; readonly message: string }
  | {
      readonly type: "end";
      readonly out: string;
      readonly dtype: string;
      readonly train: ManifestPart;
      readonly val: ManifestPart;
      readonly emptyDocuments: number;
    };

/** How far it is. */
export interface PrepareProgress {
  readonly documents: number;
  /** Of this call. */
  readonly tokens: number;
  /** Text, in bytes of UTF-8. */
  readonly bytes: number;
  /** Text per second in this call. */
  readonly megabytesPerSecond: number;
  /** From 0 to 1, or null where the end is not known. */
  readonly share: number | null;
  readonly secondsLeft: number | null;
}

const EVERY_SECONDS = 0.5;

function sums({ parts }: Written): { documents: number; bytes: number } {
  return {
    documents: PARTS.reduce((sum, part) => sum + parts[part].documents, 0),
    bytes: PARTS.reduce((sum, part) => sum + parts[part].bytes, 0),
  };
}

/** Says twice a second how far the work is. */
export class Meter {
  readonly #began = performance.now();
  readonly #size: number | null;
  readonly #bytesBefore: number;
  readonly #shareBefore: number;
  #said = performance.now();
  #last: PrepareProgress | null = null;
  tokens = 0;

  constructor(
    files: readonly DataFile[],
    private readonly documents: number | null,
    before: Written,
    private readonly emit: (event: PrepareEvent) => void,
  ) {
    this.#bytesBefore = sums(before).bytes;
    this.#size = files.some(({ size }) => size === null)
      ? null
      : files.reduce((sum, { size }) => sum + size!, 0);
    const stored = files.slice(0, before.position.file);
    this.#shareBefore =
      this.#share(
        sums(before).documents,
        stored.reduce((sum, { size }) => sum + (size ?? 0), 0),
      ) ?? 0;
  }

  /** @param stored bytes read of all files, as stored */
  update(written: Written, stored: number, tokens: number): void {
    this.tokens += tokens;
    const { documents, bytes } = sums(written);
    const seconds = (performance.now() - this.#began) / 1000;
    const share = this.#share(documents, stored);
    const gained = (share ?? 0) - this.#shareBefore;
    this.#last = {
      documents,
      tokens: this.tokens,
      bytes,
      megabytesPerSecond: (bytes - this.#bytesBefore) / 1e6 / seconds,
      share,
      secondsLeft: share === null || gained <= 0 ? null : (seconds * (1 - share)) / gained,
    };
    if (performance.now() - this.#said < 1000 * EVERY_SECONDS) return;
    this.#said = performance.now();
    this.emit({ type: "progress", ...this.#last });
  }

  /** Says it for the last time. */
  finish(): void {
    if (this.#last !== null) {
      this.emit({ type: "progress", ...this.#last, share: 1, secondsLeft: 0 });
    }
  }

  #share(documents: number, stored: number): number | null {
    const bySize = this.#size === null || this.#size === 0 ? null : stored / this.#size;
    const byCount = this.documents === null ? null : documents / this.documents;
    if (bySize === null && byCount === null) return null;
    return Math.min(1, Math.max(bySize ?? 0, byCount ?? 0));
  }
}
