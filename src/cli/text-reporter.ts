import type { WriteStream } from "node:tty";
import type { CompareEvent } from "../compare.js";
import {
  formatCount,
  formatDuration,
  formatLoss,
  formatRate,
  formatShort,
} from "../report/format.js";
import { modelTitle } from "../report/runs.js";
import type { MetricRecord } from "../run/metrics.js";
import type { ProfileSummary, TrainEvent, TrainResult } from "../training/events.js";
import { shellWord, shownPath } from "./paths.js";
import { renderBar } from "./progress-bar.js";
import type { Style } from "./style.js";

type Start = Extract<TrainEvent, { type: "start" }>;

/** Milliseconds between two drawings of the bar. */
const REDRAW = 80;

/** Shows a run as text: lines as things happen and, on a terminal, a progress bar below them. */
export class TextReporter {
  readonly #out: WriteStream;
  readonly #style: Style;
  readonly #bars: boolean;
  #bar = "";
  #drawnAt = 0;
  #trainLoss: number | null = null;
  #start: Start | null = null;
  #comparing = false;

  constructor(out: WriteStream, style: Style) {
    this.#out = out;
    this.#style = style;
    this.#bars = out.isTTY === true && process.env.TERM !== "dumb";
  }

  /** Prints above the bar. */
  print(text: string): void {
    const erase = this.#bar === "" ? "" : "\r\u001b[2K";
    this.#out.write(`${erase}${text}\n${this.#bar}`);
  }

  notice(message: string): void {
    this.print(this.#style.yellow(message));
  }

  close(): void {
    this.#clearBar();
  }

  event(event: CompareEvent): void {
    const style = this.#style;
    switch (event.type) {
      case "run":
        this.#comparing = true;
        this.#clearBar();
        this.print(
          `${event.index > 0 ? "\n" : ""}${style.bold(`Run ${event.index + 1} of ${event.count}: ${modelTitle(event.model)}, seed ${event.seed}`)}`,
        );
        break;
      case "start":
        this.#start = event;
        this.#trainLoss = null;
        this.print(this.#heading(event));
        break;
      case "train":
        this.#trainLoss = event.record.loss;
        if (!this.#bars) this.print(this.#trainLine(event.record));
        break;
      case "step":
        this.#draw(event.step, event.steps, this.#facts(event));
        break;
      case "evaluating":
        if (this.#start) {
          this.#drawnAt = 0;
          this.#draw(event.step, this.#start.plan.steps, ["evaluating on held-out text"]);
        }
        break;
      case "val":
        this.print(this.#valLine(event.record, event.best));
        break;
      case "sample":
        this.print(this.#sample(event.prompt, event.text));
        break;
      case "profile":
        this.print(this.#profile(event));
        break;
      case "checkpoint":
        break;
      case "download":
        this.#drawText(`Fetching ${event.what}: ${this.#amount(event.done, event.total)}`);
        break;
      case "notice":
        this.notice(event.message);
        break;
      case "end":
        this.#clearBar();
        this.print(this.#ending(event.result));
        break;
    }
  }

  #amount(done: number, total: number | null): string {
    return total ? `${Math.floor((done / total) * 100)} %` : `${formatShort(done)}B`;
  }

  #heading(event: Start): string {
    const { text, tokens, plan, dtype } = event;
    const epochs = plan.steps / plan.stepsPerEpoch;
    const place =
      event.device === "cpu"
        ? `cpu (${event.threads} ${event.threads === 1 ? "thread" : "threads"})`
        : event.device;
    const vocabulary =
      text.tokenizer === "char"
        ? `${text.vocabulary} different`
        : `a vocabulary of ${formatCount(text.vocabulary)} tokens (${text.tokenizer})`;
    const lines = [
      `${this.#style.bold(modelTitle(event.model))}, ${formatCount(event.parameters)} parameters, on ${place} in ${dtype}`,
      `${text.title}: ${formatCount(text.characters)} characters, ${vocabulary}; ${formatCount(tokens.train)} to train on, ${formatCount(tokens.val)} held out`,
      `${formatCount(plan.steps)} steps (${Number(epochs.toFixed(2))} epochs of ${formatCount(plan.stepsPerEpoch)}), written to ${shownPath(event.out)}`,
    ];
    if (event.receptiveField !== null) lines.push(reachLine(event.receptiveField, event.memory));
    if (event.resumed) lines.push(`Going on from step ${formatCount(event.step)}`);
    return `${lines.join("\n")}\n`;
  }

  #facts(event: Extract<TrainEvent, { type: "step" }>): string[] {
    return [
      ...(this.#trainLoss === null ? [] : [`loss ${formatLoss(this.#trainLoss)}`]),
      ...(event.tokensPerSecond > 0
        ? [
            `${formatDuration(event.secondsLeft)} left`,
            `${formatShort(event.tokensPerSecond)} tokens/s`,
          ]
        : []),
      `lr ${formatRate(event.lr)}`,
    ];
  }

  #step(step: number): string {
    const width = formatCount(this.#start?.plan.steps ?? step).length;
    return `step ${formatCount(step).padStart(width)}`;
  }

  #trainLine(record: MetricRecord): string {
    return [
      this.#step(record.step),
      `loss ${formatLoss(record.loss)}`,
      `lr ${formatRate(record.lr)}`,
      `${formatShort(record.tokens_per_second)} tokens/s`,
      formatDuration(record.seconds),
    ].join("  ");
  }

  #valLine(record: MetricRecord, best: boolean): string {
    const { alpha, bits_per_character: bits } = record;
    return [
      this.#style.bold(this.#step(record.step)),
      ...(this.#trainLoss === null ? [] : [`train ${formatLoss(this.#trainLoss)}`]),
      `held-out ${this.#style.bold(formatLoss(record.loss))}`,
      ...(bits === undefined ? [] : [`${bits.toFixed(3)} bits/char`]),
      ...(alpha === null ? [] : [`alpha ${formatLoss(alpha)}`]),
      ...(best ? [this.#style.green("best so far")] : []),
    ].join("  ");
  }

  #sample(prompt: string, text: string): string {
    const whole = `${prompt}${text}`.replace(/^\n+/, "").trimEnd();
    const width = this.#bars
      ? Math.max(20, (this.#out.columns || 80) - 6)
      : Number.POSITIVE_INFINITY;
    const lines = whole.split("\n").flatMap((line) => folded(printable(line), width));
    return `${lines.map((line) => this.#style.dim(`  │ ${line}`.trimEnd())).join("\n")}\n`;
  }

  #profile({ path, firstStep, lastStep, microseconds, operators }: ProfileSummary): string {
    const steps =
      firstStep === lastStep ? `step ${firstStep}` : `steps ${firstStep} to ${lastStep}`;
    const rows = operators.map(({ name, count, selfCpuTimeTotal, isUserAnnotation }) => [
      `${(selfCpuTimeTotal / 1000).toFixed(2)} ms`,
      `${((100 * selfCpuTimeTotal) / microseconds).toFixed(1)} %`,
      `${formatCount(count)} x`,
      isUserAnnotation ? `${name}, outside operators` : name,
    ]);
    const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
    const line = (row: readonly string[]) =>
      `  ${row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("  ")}`;
    return [
      `Profile of ${steps}: ${shownPath(path)}`,
      "  Open it at https://ui.perfetto.dev. Operators with the most CPU time of their own:",
      ...rows.map(line),
      "",
    ].join("\n");
  }

  #ending(result: TrainResult): string {
    const path = shownPath(result.out);
    if (!result.finished) {
      const command = this.#comparing
        ? ""
        : ` Go on with:\n  npx wavegpt train --resume ${shellWord(path)}`;
      return `Interrupted after step ${formatCount(result.step)} of ${formatCount(result.steps)}, and saved.${command}`;
    }
    const best = result.best
      ? ` Best held-out loss ${this.#style.bold(formatLoss(result.best.loss))}, at step ${formatCount(result.best.step)}.`
      : "";
    const done = `Done in ${formatDuration(result.seconds)}.${best}`;
    if (this.#comparing) return done;
    return [
      done,
      `  Curves:     ${shownPath(`${result.out}/report.html`)}`,
      `  Write text: npx wavegpt generate --from ${shellWord(path)}`,
    ].join("\n");
  }

  #draw(step: number, steps: number, facts: readonly string[]): void {
    if (!this.#bars) return;
    const now = performance.now();
    if (now - this.#drawnAt < REDRAW && step < steps) return;
    this.#drawText(renderBar({ step, steps, facts }, this.#out.columns || 80, this.#style));
    this.#drawnAt = now;
  }

  #drawText(text: string): void {
    if (!this.#bars) return;
    this.#bar = text;
    this.#out.write(`\r\u001b[2K${text}`);
  }

  #clearBar(): void {
    if (this.#bar !== "") this.#out.write("\r\u001b[2K");
    this.#bar = "";
  }
}

/** Text of a model, which may hold anything, without what would steer the terminal. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\t]/gu, "\ufffd");
}

/** A line in pieces of at most `width` characters, cut at spaces where there are some. */
function folded(line: string, width: number): string[] {
  const pieces: string[] = [];
  let rest = [...line];
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const end = space > width / 2 ? space : width;
    pieces.push(rest.slice(0, end).join(""));
    rest = rest.slice(space === end ? end + 1 : end);
  }
  return [...pieces, rest.join("")];
}

function reachLine(receptiveField: number, memory: Start["memory"]): string {
  const field = formatCount(receptiveField);
  if (memory === null)
    return `The WaveNet's output at a position depends on the last ${field} tokens`;
  const { layers, halfLives } = memory;
  const [fastest, slowest] = [Math.min(...halfLives), Math.max(...halfLives)].map((tokens) =>
    formatCount(Math.round(tokens)),
  );
  const range = fastest === slowest ? fastest : `${fastest} to ${slowest}`;
  return `The WaveNet's convolutions see the last ${field} tokens; its ${layers === 1 ? "layer" : `${layers} layers`} of retention see all of the text, whose weight halves every ${range} tokens`;
}
