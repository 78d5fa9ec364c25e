/** Rows under a heading as Markdown, which also reads well in a terminal. All columns but the first are right-aligned. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [
    line(heading),
    `|${rule.map((dashes) => ` ${dashes} `).join("|")}|`,
    ...rows.map(line),
  ].join("\n");
}
