import { expect, test } from "vitest";
import { concatenate, readRecords } from "../../src/data/binary.ts";
import { DataError } from "../../src/errors.ts";
import { records } from "./memoryFiles.ts";

test("planes of a record become the channels of a pixel", () => {
  const { count, pixels, labels } = readRecords(records([3, 7]), "x.bin", 10);
  expect(count).toBe(2);
  expect([...labels]).toEqual([3, 7]);
  for (let i = 0; i < 2; i++) {
    for (let p = 0; p < 1024; p++) {
      const value = (p + labels[i]) % 80;
      const at = (i * 1024 + p) * 3;
      expect([...pixels.subarray(at, at + 3)]).toEqual([value, 80 + value, 160 + value]);
    }
  }
});

test("concatenation keeps the order of the parts", () => {
  const parts = [readRecords(records([1, 2]), "a", 10), readRecords(records([5]), "b", 10)];
  const whole = concatenate(parts);
  expect([...whole.labels]).toEqual([1, 2, 5]);
  expect(whole.pixels).toEqual(readRecords(records([1, 2, 5]), "c", 10).pixels);
});

test("a truncated file is refused at its last record", () => {
  const cut = records([1, 2]).subarray(0, 3073 + 100);
  expect(() => readRecords(cut, "x.bin", 10)).toThrow(
    new DataError("x.bin: record 1 at byte 3073", "3073 bytes a record", "100 left"),
  );
});

test("a label beyond the classes is refused with its record", () => {
  expect(() => readRecords(records([1, 10, 11]), "x.bin", 10)).toThrow(
    new DataError("x.bin: record 1 at byte 3073", "a label in 0..9", "10"),
  );
});
