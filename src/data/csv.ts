import { DataError } from "../errors.ts";

/** Columns of a CSV file by name, as text; every column has `rows` cells. */
export interface Csv {
  path: string;
  rows: number;
  columns: Map<string, string[]>;
}

/** Reads a CSV of plain cells (no quotes) with a header line. Throws DataError naming the line of the wrong width. */
export function parseCsv(bytes: Uint8Array, path: string, separator: "," | ";"): Csv {
  const lines = new TextDecoder().decode(bytes).split(/\r?\n/);
  while (lines.length > 0 && lines[lines.length - 1].trim() === "") lines.pop();
  if (lines.length === 0) throw new DataError(path, "a header line", "none");
  const names = lines[0].split(separator).map((name) => name.trim());
  const cells = names.map((): string[] => []);
  for (let i = 1; i < lines.length; i++) {
    const row = lines[i].split(separator);
    if (row.length !== names.length) {
      throw new DataError(`${path}: line ${i + 1}`, `${names.length} cells`, `${row.length}`);
    }
    row.forEach((cell, c) => {
      cells[c].push(cell.trim());
    });
  }
  return { path, rows: lines.length - 1, columns: new Map(names.map((name, c) => [name, cells[c]])) };
}

/** A column as text. Throws DataError if there is none of that name. */
export function textColumn(csv: Csv, name: string): string[] {
  const cells = csv.columns.get(name);
  if (!cells) {
    throw new DataError(
      `${csv.path}: line 1`,
      `a column ${name}`,
      [...csv.columns.keys()].join(", ").slice(0, 200),
    );
  }
  return cells;
}

/** A column of integers in 0..maximum. Throws DataError naming the line of the first other cell. */
export function integerColumn(csv: Csv, name: string, maximum: number): Int32Array {
  return Int32Array.from(textColumn(csv, name), (cell, i) => {
    const value = /^\d{1,10}$/.test(cell) ? Number(cell) : -1;
    if (value >= 0 && value <= maximum) return value;
    const where = `${csv.path}: line ${i + 2}: ${name}`;
    throw new DataError(where, `an integer in 0..${maximum}`, JSON.stringify(cell.slice(0, 40)));
  });
}
