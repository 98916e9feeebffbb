import { describe, expect, it } from "vitest";
import { formatNpy, parseNpy } from "../../src/data/npy.ts";

describe("npy", () => {
  for (const data of [
    Float32Array.of(1.5, -2, 3, 4, 5, 6),
    Int8Array.of(-128, 127, 0, 1, 2, 3),
    Int32Array.of(1, 2, 3, 4, 5, -6),
  ])
    it(`keeps ${data.constructor.name} and shape through a round trip`, () =>
      expect(parseNpy(formatNpy({ shape: [2, 3], data }), "x.npy")).toEqual({ shape: [2, 3], data }));

  it("aligns the data to 64 bytes, as numpy does", () =>
    expect((formatNpy({ shape: [1], data: Int8Array.of(7) }).length - 1) % 64).toBe(0));

  const good = formatNpy({ shape: [4], data: Uint8Array.of(1, 2, 3, 4) });
  const edited = (from: string, to: string) => {
    const text = String.fromCharCode(...good).replace(from, to.padEnd(from.length));
    return Uint8Array.from(text, (c) => c.charCodeAt(0));
  };
  const cases: [string, Uint8Array, string][] = [
    ["empty", new Uint8Array(0), "x.npy: offset 0: expected a .npy file"],
    ["cut off", good.subarray(0, good.length - 1), "x.npy: data: expected 4 bytes for shape (4), got 3"],
    ["of doubles", edited("'|u1'", "'<f8'"), "x.npy: descr: expected one of"],
    ["in Fortran order", edited("False", "True"), "x.npy: fortran_order: expected False, got True"],
  ];
  for (const [what, bytes, message] of cases)
    it(`refuses a file that is ${what}`, () => expect(() => parseNpy(bytes, "x.npy")).toThrow(message));
});
