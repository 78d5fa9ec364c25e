import type { WriteStream } from "node:tty";

/** Terminal styles, or none where the output is no terminal or colour is not wanted (https://no-color.org). */
export class Style {
  readonly #on: boolean;

  constructor(stream: Pick<WriteStream, "isTTY">, env: NodeJS.ProcessEnv = process.env) {
    this.#on = stream.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
  }

  #wrap(open: number, close: number, text: string): string {
    return this.#on ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  }

  bold(text: string): string {
    return this.#wrap(1, 22, text);
  }

  dim(text: string): string {
    return this.#wrap(2, 22, text);
  }

  green(text: string): string {
    return this.#wrap(32, 39, text);
  }

  cyan(text: string): string {
    return this.#wrap(36, 39, text);
  }

  yellow(text: string): string {
    return this.#wrap(33, 39, text);
  }
}
