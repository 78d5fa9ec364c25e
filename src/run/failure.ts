import { WaveGPTError } from "../../lib/errors.js";

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "your disk quota is used up",
  EFBIG: "the file would be larger than this system or user may write",
  EACCES: "permission was denied",
  EPERM: "permission was denied",
  EROFS: "the file system can only be read",
  ENOENT: "a folder on the way does not exist",
  ENOTDIR: "a part of the path is a file, not a folder",
  EIO: "the disk reported an error",
  EMFILE: "too many files are open",
  ENAMETOOLONG: "the name is too long",
};

/** The system's error code, from an error or what caused it. */
export function systemCode(error: unknown): string | null {
  let current = error;
  for (let depth = 0; depth < 4 && current instanceof Error; depth++) {
    const { code, cause } = current as NodeJS.ErrnoException;
    if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return code;
    current = cause;
  }
  return null;
}

/**
 * Runs `action`, which writes to `path`, and turns the system's errors into a readable one.
 * @throws WaveGPTError ERR_WAVEGPT_WRITE saying what could not be written and why.
 */
export function writing<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const code = systemCode(error);
    if (code === null) throw error;
    const reason = REASONS[code] ?? (error as Error).message;
    throw new WaveGPTError("ERR_WAVEGPT_WRITE", `Cannot write ${path}: ${reason} (${code}).`, {
      cause: error,
    });
  }
}
