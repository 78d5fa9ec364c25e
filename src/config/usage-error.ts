import { WaveGPTError } from "../../lib/errors.js";

/** A mistake in what the user asked for: the command line ends with status 2. */
export class UsageError extends WaveGPTError {
  constructor(message: string) {
    super("ERR_WAVEGPT_USAGE", message);
    this.name = "UsageError";
  }
}
