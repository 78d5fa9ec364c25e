import type { CompareEvent } from "../compare.js";
import { jsonLine } from "./json-lines.js";
import { Style } from "./style.js";
import { TextReporter } from "./text-reporter.js";

/** Shows a run's events to the user. */
export interface Reporter {
  readonly event: (event: CompareEvent) => void;
  readonly notice: (message: string) => void;
  /** Prints lines among the others. */
  readonly print: (text: string) => void;
  /** Ends what is half drawn, such as the progress bar. */
  readonly close: () => void;
}

/** JSON lines where asked for; a progress bar on a terminal; else plain lines. */
export function createReporter({ json }: { json: boolean }): Reporter {
  if (json) {
    const write = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
    return {
      event: (event) => {
        const line = jsonLine(event);
        if (line) write(line);
      },
      notice: (message) => write({ event: "notice", message }),
      print: () => {},
      close: () => {},
    };
  }
  const reporter = new TextReporter(process.stdout, new Style(process.stdout));
  return {
    event: (event) => reporter.event(event),
    notice: (message) => reporter.notice(message),
    print: (text) => reporter.print(text),
    close: () => reporter.close(),
  };
}
