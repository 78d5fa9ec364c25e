import type { ManifestPart } from "../data/manifest.js";
import type { PrepareEvent, PrepareProgress } from "../prepare/index.js";
import { shellWord, shownPath } from "./paths.js";

/** Shows how preparing goes. */
export interface PrepareReporter {
  readonly event: (event: PrepareEvent) => void;
  readonly notice: (message: string) => void;
  readonly print: (text: string) => void;
  readonly close: () => void;
}

/** Without a terminal, a line of progress is printed so often. */
const LINE_SECONDS = 10;

const count = (n: number) => n.toLocaleString("en-US");

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function progressLine(progress: PrepareProgress): string {
  const { documents, tokens, megabytesPerSecond, share, secondsLeft } = progress;
  return [
    ...(share === null ? [] : [`${Math.floor(100 * share)}%`]),
    `${count(documents)} documents`,
    `${count(tokens)} tokens`,
    `${megabytesPerSecond.toFixed(1)} MB/s`,
    ...(secondsLeft === null ? [] : [`${duration(secondsLeft)} left`]),
  ].join("  ");
}

function partLine(name: string, { documents, tokens, shards }: ManifestPart): string {
  const files = shards.length === 1 ? "1 shard" : `${count(shards.length)} shards`;
  return `${name}: ${count(tokens)} tokens of ${count(documents)} documents, ${files}`;
}

function jsonReporter(): PrepareReporter {
  const write = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
  return {
    event: ({ type, ...rest }) => write({ event: type, ...rest }),
    notice: (message) => write({ event: "notice", message }),
    print: () => {},
    close: () => {},
  };
}

/** JSON lines where asked for; one line that is drawn anew on a terminal; else a line now and then. */
export function prepareReporter(json: boolean): PrepareReporter {
  if (json) return jsonReporter();
  const { stdout } = process;
  let drawn = false;
  let said = 0;
  const clear = () => {
    if (drawn) stdout.write("\r\u001b[K");
    drawn = false;
  };
  const print = (text: string) => {
    clear();
    stdout.write(`${text}\n`);
  };
  const progress = (state: PrepareProgress) => {
    const line = progressLine(state);
    if (stdout.isTTY) {
      clear();
      stdout.write(line.slice(0, stdout.columns - 1));
      drawn = true;
    } else if (performance.now() - said > 1000 * LINE_SECONDS) {
      said = performance.now();
      print(line);
    }
  };
  return {
    event: (event) => {
      switch (event.type) {
        case "start":
          print(
            `${event.resumed ? "Going on with" : "Preparing"} ${event.files === 1 ? "1 file" : `${count(event.files)} files`} with ${event.workers === 1 ? "1 thread" : `${event.workers} threads`} in ${shownPath(event.out)}`,
          );
          break;
        case "progress":
          progress(event);
          break;
        case "notice":
          print(event.message);
          break;
        case "end":
          print(partLine("Training", event.train));
          print(partLine("Validation", event.val));
          print(`Train on it with:\n  npx wavegpt train --data ${shellWord(shownPath(event.out))}`);
      }
    },
    notice: print,
    print,
    close: clear,
  };
}
