/** Why a request failed: the error's message and code, or where it has neither, those of its cause. */
export function reasonOf(error: unknown): string {
  const { code, message, cause } = error as NodeJS.ErrnoException & { cause?: unknown };
  if (message) return code && !message.includes(code) ? `${message} (${code})` : message;
  return code ?? (cause === undefined ? String(error) : reasonOf(cause));
}
