import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { packageRoot } from "../../lib/package-root.js";
import { Random } from "../../src/data/random.js";

/** Texts by what they are made of, as bytes: not all of them are valid UTF-8. */
export type MixedText = ReadonlyMap<string, Uint8Array>;

const utf8 = new TextEncoder();

/** Files below a folder of node_modules whose names end so, in the order of their names. */
function files(folder: string, ending: RegExp): string[] {
  const root = path.join(packageRoot(), "node_modules", folder);
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => ending.test(name))
    .sort()
    .map((name) => path.join(root, name));
}

function contents(names: readonly string[], most: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let left = most;
  for (const name of names) {
    const bytes = readFileSync(name);
    parts.push(bytes.subarray(0, left));
    left -= bytes.length;
    if (left <= 0) break;
  }
  return Buffer.concat(parts);
}

/** Characters drawn from ranges of code points, `size` bytes of them and a little more. */
function drawn(seed: number, size: number, draw: (random: Random) => string): Uint8Array {
  const random = new Random(seed);
  const pieces: string[] = [];
  for (let bytes = 0; bytes < size; ) {
    const piece = draw(random);
    pieces.push(piece);
    bytes += Buffer.byteLength(piece);
  }
  return utf8.encode(pieces.join(""));
}

const within = (random: Random, first: number, last: number) =>
  String.fromCodePoint(first + random.below(last - first + 1));
const among = <T>(random: Random, list: ArrayLike<T>) => list[random.below(list.length)]!;

const EMOJI: readonly [number, number][] = [
  [0x1f300, 0x1f5ff],
  [0x1f600, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x2600, 0x27bf],
  [0x1f1e6, 0x1f1ff],
];
const SCRIPTS: readonly [number, number][] = [
  [0x4e00, 0x9fff],
  [0x4e00, 0x4fff],
  [0x3040, 0x30ff],
  [0xac00, 0xd7a3],
  [0x20000, 0x2a6df],
  [0x3000, 0x303f],
];
const OTHERS: readonly [number, number][] = [
  [0x00, 0x7f],
  [0x80, 0x24f],
  [0x370, 0x3ff],
  [0x400, 0x52f],
  [0x590, 0x6ff],
  [0x900, 0x97f],
  [0xe00, 0xe7f],
  [0x1680, 0x169f],
  [0x2000, 0x206f],
  [0x2150, 0x218b],
  [0x10000, 0x1ffff],
  [0xe000, 0xffff],
  [0xe0000, 0x10ffff],
];
const SPACES = [" ", " ", " ", "\n", "\t", "\r\n", "\r", "\v", "\f", "\u0085", "\u00a0", "\u2003"];
const MORE_SPACES = ["\u2028", "\u3000", "\u200b", "\ufeff", "\u180e"];
const CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'", "''", "'v", "'l"];

/** Tiny Shakespeare where the tests have it. */
function shakespeare(): readonly string[] {
  const file = path.join(process.env.WAVEGPT_DATA_DIR ?? "", "tinyshakespeare.txt");
  return process.env.WAVEGPT_DATA_DIR && existsSync(file) ? [file] : [];
}

/**
 * Text of all sorts, the same at every call, `scale` MB of it and a little more: half real (the packages' code and
 * documentation, TypeScript's messages in thirteen languages), half made up.
 */
export function mixedText(scale: number): MixedText {
  const size = scale * 1e5;
  const everyCodePoint: string[] = [];
  for (let c = 0; c < 0x110000; c += scale < 10 ? 17 : 1) {
    if (c < 0xd800 || c > 0xdfff) everyCodePoint.push(String.fromCodePoint(c), c % 5 ? "" : " ");
  }
  const messages = files("typescript/lib", /diagnosticMessages\.generated\.json$/);
  return new Map([
    ["code", contents(files("typescript/lib", /\.(d\.ts|js)$/), size * 3)],
    ["English", contents([...shakespeare(), ...files(".", /\.md$/)], size * 2)],
    ["languages", contents(messages, size)],
    ["every code point", utf8.encode(everyCodePoint.join(""))],
    [
      "CJK",
      drawn(
        1,
        size,
        (r) => within(r, ...among(r, SCRIPTS)) + (r.below(12) ? "" : among(r, SPACES)),
      ),
    ],
    [
      "emoji",
      drawn(2, size / 2, (r) => {
        const joined = r.below(4) === 0 ? `\u200d${within(r, ...among(r, EMOJI))}` : "";
        const tone = r.below(4) === 0 ? within(r, 0x1f3fb, 0x1f3ff) : "";
        return `${r.below(3) ? "" : " "}${within(r, ...among(r, EMOJI))}${tone}${r.below(5) ? "" : "\ufe0f"}${joined}`;
      }),
    ],
    [
      "combining marks",
      drawn(3, size / 2, (r) => {
        const marks = Array.from({ length: r.below(4) }, () => within(r, 0x300, 0x36f)).join("");
        return `${r.below(5) ? "" : " "}${within(r, 0x61, 0x7a)}${marks}`;
      }),
    ],
    [
      "whitespace",
      drawn(4, size / 2, (r) => {
        const spaces = r.below(3) ? SPACES : MORE_SPACES;
        const run = among(r, spaces).repeat(1 + r.below(r.below(50) ? 4 : 200));
        return `${run}${r.below(3) ? "" : among(r, spaces)}${r.below(2) ? "" : among(r, ["a", "1", ".", "'s"])}`;
      }),
    ],
    [
      "contractions and numbers",
      drawn(5, size / 2, (r) => {
        const word = r.below(2) ? "don" : String(r.below(1e6));
        return `${r.below(2) ? " " : ""}${word}${among(r, CONTRACTIONS)}${r.below(4) ? "" : "<|endoftext|>"}`;
      }),
    ],
    ["other scripts", drawn(6, size, (r) => within(r, ...among(r, OTHERS)))],
    ["no space", drawn(7, 1e6, (r) => within(r, 0x61, 0x7a))],
    ["one letter", utf8.encode("a".repeat(size / 2))],
    ["invalid UTF-8", invalid(size)],
  ]);
}

/** Bytes of which many begin no character or end one too early. */
function invalid(size: number): Uint8Array {
  const random = new Random(8);
  const bytes = new Uint8Array(size);
  const leads = [0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff];
  for (let i = 0; i < bytes.length; i++) {
    const kind = random.below(8);
    if (kind < 3) bytes[i] = 0x20 + random.below(0x5f);
    else if (kind < 4) bytes[i] = leads[random.below(leads.length)]!;
    else if (kind < 7) bytes[i] = 0x80 + random.below(0x40);
    else bytes[i] = random.below(256);
  }
  return bytes;
}
