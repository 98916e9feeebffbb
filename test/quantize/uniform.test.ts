import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  activationQuantization,
  fakeQuantizeMinMax,
  fakeQuantizeSymmetric,
  packInt4,
  quantizeWeights,
  unpackInt4,
} from "../../src/quantize/uniform.ts";

describe("uniform quantization", () => {
  it("follows the paper's formula at 4 bits", () => {
    const scale = 7 / 7;
    expect([...fakeQuantizeSymmetric(Float32Array.of(7, -7, 0.5, -0.4, 3.3), 4)]).toEqual(
      [7, -7, 1, -0, 3].map((q) => q * scale),
    );
  });

  it("cannot represent zero on the grid of the paper's code", () =>
    expect([...fakeQuantizeMinMax(Float32Array.of(-1, 0, 1.9), 4)][1]).not.toBe(0));

  it("gives every channel its own scale and keeps weights off -128 and -8", () =>
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, min: -4, max: 4 }), { minLength: 12, maxLength: 12 }),
        fc.constantFrom(8, 4),
        (values, bits) => {
          const { data, quantization } = quantizeWeights(
            Float32Array.from(values),
            [3, 4],
            0,
            bits as 8 | 4,
            "per-channel",
          );
          const top = 2 ** (bits - 1) - 1;
          data.forEach((q, i) => {
            expect(Math.abs(q)).toBeLessThanOrEqual(top);
            expect(Math.abs(q * quantization.scale[i >> 2] - values[i])).toBeLessThanOrEqual(
              quantization.scale[i >> 2] * 0.5001,
            );
          });
        },
      ),
    ));

  it("holds real zero exactly, at a zero point inside int8", () =>
    fc.assert(
      fc.property(
        fc.float({ noNaN: true, min: -50, max: 50 }),
        fc.float({ noNaN: true, min: 0, max: 50 }),
        (low, width) => {
          const { scale, zeroPoint } = activationQuantization(low, low + width);
          expect(zeroPoint[0]).toBeGreaterThanOrEqual(-128);
          expect(zeroPoint[0]).toBeLessThanOrEqual(127);
          expect(scale[0]).toBeGreaterThan(0);
        },
      ),
    ));

  it("maps an image in [0, 1] to pixel - 128", () => {
    const { scale, zeroPoint } = activationQuantization(0, 1);
    expect([scale[0], zeroPoint[0]]).toEqual([Math.fround(1 / 255), -128]);
  });

  it("packs int4 low nibble first and gives it back", () => {
    expect([...packInt4(Int8Array.of(1, -2, 7))]).toEqual([0xe1, 0x07]);
    expect([...unpackInt4(packInt4(Int8Array.of(-8, 7, -1)), 3)]).toEqual([-8, 7, -1]);
  });
});
