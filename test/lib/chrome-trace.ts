import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** A complete event ("ph": "X") of the Chrome trace event format. Times are microseconds. */
export interface Span {
  readonly name: string;
  readonly cat: string;
  readonly pid: number | string;
  readonly tid: number | string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface ChromeTrace {
  readonly traceName: string;
  readonly spans: readonly Span[];
}

const PHASES = "BEXiIMCbnestfPNODSTFp";

/** kineto's clock has steps of a nanosecond, written as microseconds; twice rounded. */
const ROUNDING = 0.002;

/**
 * Reads a trace, and collects what the Chrome trace event format asks of its events and Perfetto needs to show them
 * where they belong: phase, times, process and thread, and that the spans of a thread nest.
 */
export function readChromeTrace(path: string): ChromeTrace & { readonly problems: string[] } {
  const bytes = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  const { traceEvents, traceName } = JSON.parse(text) as {
    traceEvents: Record<string, unknown>[];
    traceName: string;
  };
  const problems: string[] = [];
  const wrong = (event: unknown, what: string) =>
    problems.push(`${what}: ${JSON.stringify(event)}`);
  for (const event of traceEvents) {
    const { ph, ts, name, dur } = event;
    if (typeof ph !== "string" || ph.length !== 1 || !PHASES.includes(ph)) wrong(event, "phase");
    if (typeof name !== "string") wrong(event, "name");
    if (typeof ts !== "number" || !(ts >= 0)) wrong(event, "time");
    for (const key of ["pid", "tid"]) {
      if (!["number", "string"].includes(typeof event[key])) wrong(event, key);
    }
    if (ph === "X" && (typeof dur !== "number" || !(dur >= 0))) wrong(event, "duration");
  }
  const spans = traceEvents.filter(({ ph }) => ph === "X") as unknown as Span[];
  const threads = new Set(spans.map(({ pid, tid }) => `${pid} ${tid}`));
  for (const thread of threads) {
    const open: Span[] = [];
    const own = spans.filter(({ pid, tid }) => `${pid} ${tid}` === thread);
    for (const span of own.sort((a, b) => a.ts - b.ts || b.dur - a.dur)) {
      while (open.length > 0 && ends(open.at(-1)!) <= span.ts + ROUNDING) open.pop();
      const around = open.at(-1);
      if (around && ends(span) > ends(around) + ROUNDING) wrong([around, span], "overlap");
      open.push(span);
    }
  }
  return { traceName, spans, problems };
}

function ends({ ts, dur }: Span): number {
  return ts + dur;
}

/** Whether `inner` ran during `outer`, on the same thread. */
export function inside(inner: Span, outer: Span): boolean {
  return (
    inner.tid === outer.tid &&
    inner.ts >= outer.ts - ROUNDING &&
    ends(inner) <= ends(outer) + ROUNDING
  );
}
