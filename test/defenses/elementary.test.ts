import { describe, expect, test } from "vitest";
import { exp, log, log2, normalQuantile, sigmoid, tanh } from "../../src/elementary.ts";
import { seededRandom } from "../../src/random.ts";

const relative = (got: number, wanted: number) => (wanted === 0 ? Math.abs(got) : Math.abs(got / wanted - 1));

/** The largest relative error on 20,000 arguments drawn from `draw`. */
function worst(
  got: (x: number) => number,
  wanted: (x: number) => number,
  draw: (u: number) => number,
): number {
  const random = seededRandom(1);
  let error = 0;
  for (let i = 0; i < 20_000; i++) {
    const x = draw(random.uniform());
    error = Math.max(error, relative(got(x), wanted(x)));
  }
  return error;
}

describe("elementary functions", () => {
  test.each([
    ["exp", exp, Math.exp, (u: number) => 1400 * (u - 0.5)],
    ["exp near 0", exp, Math.exp, (u: number) => 2 * (u - 0.5)],
    ["log", log, Math.log, (u: number) => Math.exp(1400 * (u - 0.5))],
    ["log near 1", log, Math.log, (u: number) => 0.5 + u],
    ["log2", log2, Math.log2, (u: number) => 8 * u + 1e-9],
    ["tanh", tanh, Math.tanh, (u: number) => 10 * (u - 0.5)],
    ["sigmoid", sigmoid, (x: number) => 1 / (1 + Math.exp(-x)), (u: number) => 40 * (u - 0.5)],
  ])("%s agrees with Math to 1e-15", (_, got, wanted, draw) => {
    expect(worst(got, wanted, draw)).toBeLessThan(1e-15);
  });

  test("ends and special values are exact", () => {
    expect([exp(0), exp(-Infinity), exp(Infinity), exp(710), exp(-746)]).toEqual([
      1,
      0,
      Infinity,
      Infinity,
      0,
    ]);
    expect(exp(NaN)).toBeNaN();
    expect([log(1), log(0), log(Infinity)]).toEqual([0, -Infinity, Infinity]);
    expect(log(-1)).toBeNaN();
    expect([tanh(30), tanh(-30), tanh(0), tanh(-0)]).toEqual([1, -1, 0, -0]);
    expect([sigmoid(0), sigmoid(800), sigmoid(-800)]).toEqual([0.5, 1, 0]);
  });

  test("subnormals have their exponential and logarithm", () => {
    expect(relative(log(5e-324), Math.log(5e-324))).toBeLessThan(1e-15);
    expect(exp(-745)).toBe(5e-324);
    expect(relative(exp(709.7), Math.exp(709.7))).toBeLessThan(1e-15);
  });

  test("log2 of a power of two is its exponent", () => {
    for (let k = -1074; k <= 1023; k++) {
      const power = k >= -1022 ? 2 ** k : 2 ** -1022 * 2 ** (k + 1022);
      expect(log2(power)).toBe(k);
    }
  });
});

describe("normalQuantile", () => {
  test.each([
    [0.5, 0],
    [0.75, 0.6744897501960817],
    [0.975, 1.959963984540054],
    [0.01, -2.3263478740408408],
    [0.05, -1.6448536269514729],
    [1e-10, -6.361340902404056],
    [1e-20, -9.262340089798409],
  ])("of %f is %f", (p, z) => {
    expect(relative(normalQuantile(p), z)).toBeLessThan(1e-14);
  });

  test("is odd about one half and defined inside (0, 1) only", () => {
    expect(normalQuantile(0.25)).toBe(-normalQuantile(0.75));
    expect(() => normalQuantile(0)).toThrow(RangeError);
    expect(() => normalQuantile(1)).toThrow(RangeError);
    expect(() => normalQuantile(NaN)).toThrow(RangeError);
  });
});
