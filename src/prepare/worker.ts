import { isUtf8 } from "node:buffer";
import { parentPort, workerData } from "node:worker_threads";
import { PARTS } from "../data/manifest.js";
import type { TokenArray } from "../tokenizer/index.js";
import { type EncodeAnswer, type EncodeRequest, UNDECIDED, type WorkerSetup } from "./encoding.js";
import { partOf } from "./split.js";
import { documentTokenizer } from "./tokenizer.js";

const { tokenizer: name, validation } = workerData as WorkerSetup;
const tokenizer = documentTokenizer(name);

function charactersIn(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) if ((bytes[i]! & 0xc0) !== 0x80) count++;
  return count;
}

function joined(pieces: readonly TokenArray[]): TokenArray {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const all = tokenizer.dtype === "uint16" ? new Uint16Array(length) : new Uint32Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function encode({ bytes, ends, parts, first }: EncodeRequest): EncodeAnswer {
  const sums = PARTS.map(() => ({
    pieces: [] as TokenArray[],
    documents: 0,
    characters: 0,
    bytes: 0,
  }));
  const start =
    tokenizer.endOfText === null ? new Uint32Array(0) : Uint32Array.of(tokenizer.endOfText);
  let empty = 0;
  let from = 0;
  for (const [index, to] of ends.entries()) {
    const piece = bytes.subarray(from, to);
    from = to;
    if (!isUtf8(piece)) return { invalid: index };
    if (piece.length === 0 && parts[index] === UNDECIDED) {
      empty++;
      continue;
    }
    const known = parts[index]!;
    const sum = sums[known === UNDECIDED ? PARTS.indexOf(partOf(piece, validation)) : known]!;
    try {
      const tokens = tokenizer.encode(piece);
      if (first[index] === 1) {
        sum.pieces.push(start);
        sum.documents++;
      }
      sum.pieces.push(tokens);
    } catch (error) {
      return { error: (error as Error).message, piece: index };
    }
    sum.characters += charactersIn(piece);
    sum.bytes += piece.length;
  }
  return {
    parts: sums.map(({ pieces, ...counts }) => ({ tokens: joined(pieces), ...counts })),
    empty,
  };
}

parentPort!.on("message", (request: EncodeRequest) => {
  const answer = encode(request);
  const buffers =
    "parts" in answer ? answer.parts.map(({ tokens }) => tokens.buffer as ArrayBuffer) : [];
  parentPort!.postMessage(answer, buffers);
});
