/** Text for a terminal of 100 columns. */
export const WIDTH = 100;

/** Rows as columns, two spaces between; the first row is the heading. right: columns that are flushed right. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths = rows[0].map((_, c) => Math.max(...rows.map((row) => row[c].length)));
  const cell = (text: string, c: number) =>
    right.includes(c) ? text.padStart(widths[c]) : text.padEnd(widths[c]);
  return rows.map((row) => row.map(cell).join("  ").trimEnd()).join("\n");
}

/** At most `width` characters, an ellipsis in place of what is cut. */
export function clipped(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** Words wrapped at the width; what the first line begins with stays, later lines are indented by `indent`. */
export function wrapped(text: string, indent = 2, width = WIDTH): string {
  const lines = [text.slice(0, text.length - text.trimStart().length)];
  let words = 0;
  for (const word of text.trimStart().split(" ")) {
    const line = lines[lines.length - 1];
    const joined = words === 0 ? line + word : `${line} ${word}`;
    const full = words > 0 && joined.length > width;
    if (full) lines.push(" ".repeat(indent) + word);
    else lines[lines.length - 1] = joined;
    words = full ? 1 : words + 1;
  }
  return lines.join("\n");
}
