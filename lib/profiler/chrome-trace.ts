import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { binding } from "../binding.js";
import { WaveGPTError } from "../errors.js";
import type { ProfilerTrace } from "../native.js";

let temporaryNumber = 0;

/**
 * Writes a trace in the Chrome trace event format, compressed where the name ends in `.gz`, so that a reader sees the
 * old file or the new one and never a part.
 */
export function writeChromeTrace(trace: ProfilerTrace, target: string): void {
  const base = path.join(
    path.dirname(target),
    `.${path.basename(target)}.${process.pid}.${temporaryNumber++}`,
  );
  const written = `${base}.json.tmp`;
  const packed = `${base}.gz.tmp`;
  try {
    // libtorch would write nothing, and say nothing, where it may not write.
    closeSync(openSync(written, "wx"));
    binding.saveProfilerTrace(trace, written);
    nameTrace(written, path.basename(target));
    if (!target.endsWith(".gz")) {
      renameSync(written, target);
    } else {
      writeFileSync(packed, gzipSync(readFileSync(written)), { flag: "wx" });
      renameSync(packed, target);
    }
  } finally {
    for (const left of [written, `${written}.tmp`, packed]) rmSync(left, { force: true });
  }
}

/**
 * Gives the trace its own name instead of the path it was written to, which libtorch puts last and unescaped.
 * @throws WaveGPTError ERR_WAVEGPT_WRITE where the file has no end: libtorch does not say that it could not write it
 */
function nameTrace(file: string, name: string): void {
  const fd = openSync(file, "r+");
  try {
    const { size } = fstatSync(fd);
    const tail = Buffer.alloc(Math.min(size, Buffer.byteLength(file) + 100));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    const at = tail.lastIndexOf('"traceName":');
    if (at < 0 || !tail.toString("latin1").trimEnd().endsWith("}")) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_WRITE",
        `exportChromeTrace: only a part of the trace (${size} bytes) could be written; is the disk full?`,
        { operator: "torch.profiler.Profile.exportChromeTrace" },
      );
    }
    const start = size - tail.length + at;
    ftruncateSync(fd, start);
    writeSync(fd, `"traceName": ${JSON.stringify(name)}}\n`, start);
  } finally {
    closeSync(fd);
  }
}
