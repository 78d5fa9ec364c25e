import { WaveGPTError } from "./errors.js";

/** Scopes and modes are the thread's: they would end before a promise does its work. */
export function requireSynchronous<T>(name: string, result: T): T {
  if (
    typeof result === "object" &&
    result !== null &&
    typeof (result as { then?: unknown }).then === "function"
  ) {
    // The promise's own failure has no other listener.
    (result as unknown as PromiseLike<unknown>).then(undefined, () => undefined);
    throw new WaveGPTError(
      "ERR_WAVEGPT_SCOPE",
      `${name}: the function returned a promise; it must be synchronous, as the scope or mode ends when it returns`,
      { operator: name },
    );
  }
  return result;
}
