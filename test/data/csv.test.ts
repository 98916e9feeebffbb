import { expect, test } from "vitest";
import { integerColumn, parseCsv, textColumn } from "../../src/data/csv.ts";

const csv = (text: string) => parseCsv(new TextEncoder().encode(text), "t.csv", ",");

test("cells are found by the name of their column", () => {
  const table = csv("name,class\r\na,3\r\nb,4\r\n\r\n");
  expect(table.rows).toBe(2);
  expect(textColumn(table, "name")).toEqual(["a", "b"]);
  expect([...integerColumn(table, "class", 9)]).toEqual([3, 4]);
});

test("an empty table, a line of another width and a missing column are refused", () => {
  expect(() => csv("\n\n")).toThrow("t.csv: expected a header line, got none");
  expect(() => csv("a,b\n1,2\n3\n")).toThrow("t.csv: line 3: expected 2 cells, got 1");
  expect(() => textColumn(csv("a,b\n1,2"), "c")).toThrow("t.csv: line 1: expected a column c, got a, b");
});

for (const cell of ["", "-1", "1.5", "1e3", "x", "10", "0x1", "99999999999"]) {
  test(`the cell ${JSON.stringify(cell)} is no integer in 0..9`, () => {
    expect(() => integerColumn(csv(`a,b\n1,1\n1,${cell}`), "b", 9)).toThrow(
      `t.csv: line 3: b: expected an integer in 0..9, got ${JSON.stringify(cell)}`,
    );
  });
}
