import { decoderBlocks } from "../config/forms.js";
import { formatCount, formatDuration, formatLoss, formatShort } from "../report/format.js";
import type { StudyEvent } from "../study/events.js";
import { jsonLine } from "./json-lines.js";
import { shownPath } from "./paths.js";
import { renderBar } from "./progress-bar.js";
import { Style } from "./style.js";

type Event<T extends StudyEvent["type"]> = Extract<StudyEvent, { type: T }>;

/** Shows a study's events to the user. */
export interface StudyReporter {
  readonly event: (event: StudyEvent) => void;
  readonly notice: (message: string) => void;
  readonly print: (text: string) => void;
  readonly close: () => void;
}

/** JSON lines: a run's own events with its arm and seed. */
class JsonReporter implements StudyReporter {
  readonly event = (event: StudyEvent): void => {
    if (event.type === "run") {
      const line = jsonLine(event.event);
      if (line !== null) this.#write({ ...line, arm: event.arm, seed: event.seed });
    } else {
      const { type, ...rest } = event;
      this.#write({ event: type, ...rest });
    }
  };
  readonly notice = (message: string): void => this.#write({ event: "notice", message });
  readonly print = (): void => {};
  readonly close = (): void => {};

  #write(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value)}\n`);
  }
}

/** A line for each evaluation and run, and on a terminal a bar of all runs together. */
class TextReporter implements StudyReporter {
  readonly #out = process.stdout;
  readonly #style = new Style(process.stdout);
  readonly #bars = process.stdout.isTTY === true;
  /** Steps done of each run under way. */
  readonly #steps = new Map<string, number>();
  #runs = 0;
  #done = 0;
  #stepsPerRun = 1;
  #stepsAtStart = 0;
  #began = performance.now();
  #bar = "";

  readonly print = (text: string): void => {
    this.#clear();
    this.#out.write(`${text}\n${this.#bar}`);
  };
  readonly notice = (message: string): void => this.print(this.#style.yellow(message));
  readonly close = (): void => {
    this.#clear();
    this.#bar = "";
  };

  readonly event = (event: StudyEvent): void => {
    switch (event.type) {
      case "study":
        this.#begin(event);
        break;
      case "run":
        this.#run(event);
        break;
      case "probe":
        this.#steps.set(probeName(event), event.step);
        this.#draw();
        break;
      case "probed":
        this.#probed(event);
        break;
      case "timing":
        this.print(`Timing: round ${event.round} of ${event.rounds}`);
        break;
      case "notice":
        this.notice(event.message);
        break;
    }
  };

  #begin({ title, arms, seeds, runs, kept, seconds, out }: Event<"study">): void {
    this.#runs = runs;
    this.#done = kept;
    this.#stepsPerRun = arms[0]?.settings.steps ?? 1;
    this.#stepsAtStart = kept * this.#stepsPerRun;
    this.#began = performance.now();
    const rows = arms.map(({ arm, settings, parameters, flops, match }) => {
      const { nEmbd, blockSize } = settings;
      const near = match
        ? `, ${match.to} within ${(100 * Math.abs(match.deviation)).toFixed(1)} %`
        : "";
      return `  ${arm.id.padEnd(18)} ${decoderBlocks(settings)} blocks, C ${nEmbd}, window ${blockSize}: ${formatCount(parameters)} parameters, ${formatShort(flops)} FLOPs/token${near}`;
    });
    const left =
      kept === runs
        ? ": all finished"
        : seconds === null
          ? ""
          : `: about ${formatDuration(seconds)}`;
    this.print(
      [
        `${this.#style.bold(title)}: ${arms.length} models, seeds ${seeds.join(", ")}, ${formatCount(this.#stepsPerRun)} steps each, written to ${shownPath(out)}`,
        ...rows,
        `${runs} runs${kept > 0 ? `, ${kept} of them finished before` : ""}${left}\n`,
      ].join("\n"),
    );
  }

  #run({ arm, seed, event }: Event<"run">): void {
    const name = `${arm}, seed ${seed}`;
    switch (event.type) {
      case "step":
        this.#steps.set(name, event.step);
        this.#draw();
        break;
      case "val":
        this.print(
          `${this.#label(name, event.record.step)} held-out ${formatLoss(event.record.loss)}`,
        );
        break;
      case "notice":
        this.notice(`${name}: ${event.message}`);
        break;
      case "end":
        this.#steps.delete(name);
        if (event.result.finished) this.#done++;
        this.print(
          event.result.finished
            ? `${name}: done in ${formatDuration(event.result.seconds)} (${this.#done} of ${this.#runs})`
            : `${name}: interrupted after step ${formatCount(event.result.step)}, and saved`,
        );
        break;
      default:
        break;
    }
  }

  #probed(event: Event<"probed">): void {
    const name = probeName(event);
    this.#steps.delete(name);
    this.#done++;
    const shares = event.accuracy.map(({ beyond, answers, right }) => {
      const share = answers === 0 ? "–" : `${Math.round((100 * right) / answers)} %`;
      return `${beyond === null ? "within" : `+${beyond}`} ${share}`;
    });
    this.print(
      `${name}: ${shares.join(", ")} (${formatDuration(event.seconds)}; ${this.#done} of ${this.#runs})`,
    );
  }

  #label(name: string, step: number): string {
    return `${name.padEnd(26)} step ${formatCount(step).padStart(formatCount(this.#stepsPerRun).length)} `;
  }

  #draw(): void {
    if (!this.#bars) return;
    const all = this.#runs * this.#stepsPerRun;
    const under = [...this.#steps.values()].reduce((sum, steps) => sum + steps, 0);
    const done = this.#done * this.#stepsPerRun + under;
    const seconds = (performance.now() - this.#began) / 1000;
    const left = (seconds * (all - done)) / Math.max(1, done - this.#stepsAtStart);
    const facts = [
      `run ${this.#done + this.#steps.size} of ${this.#runs}`,
      `${formatDuration(left)} left`,
    ];
    this.#bar = renderBar({ step: done, steps: all, facts }, this.#out.columns || 80, this.#style);
    this.#out.write(`\r\u001b[2K${this.#bar}`);
  }

  #clear(): void {
    if (this.#bar !== "") this.#out.write("\r\u001b[2K");
  }
}

function probeName({ task, arm, seed }: { task: string; arm: string; seed: number }): string {
  return `${task}, ${arm}, seed ${seed}`;
}

export function createStudyReporter({ json }: { json: boolean }): StudyReporter {
  return json ? new JsonReporter() : new TextReporter();
}
