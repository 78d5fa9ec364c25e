import { WaveGPTError } from "../errors.js";

/** The error for bytes that are not a well-formed safetensors file. `where` names the file or buffer. */
export function malformed(where: string, problem: string): WaveGPTError {
  return new WaveGPTError(
    "ERR_WAVEGPT_SAFETENSORS",
    `${where} is not a valid safetensors file: ${problem}.`,
  );
}
