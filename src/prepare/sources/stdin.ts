import type { DataFile } from "../source.js";

/** Standard input: plain text, to be given again from its beginning where a run goes on. */
export function standardInput(): DataFile {
  return {
    name: "standard input",
    size: null,
    sha256: null,
    describe: () => ({ path: "-" }),
    version: "-",
    async *stream(from) {
      let left = from;
      for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
        if (left < chunk.length) yield left === 0 ? chunk : chunk.subarray(left);
        left = Math.max(0, left - chunk.length);
      }
    },
    range: () => Promise.reject(new Error("standard input can be read only once")),
  };
}
