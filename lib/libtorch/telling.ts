/** A line on stderr. */
export function say(line: string): void {
  process.stderr.write(`wavegpt: ${line}\n`);
}

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6).toLocaleString("en")} MB`;
}
