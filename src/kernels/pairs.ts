/** ADD, SUB and MUL of two int8 codes in the forms that no other family shares, one pair at a time. */

import type { Output } from "./args.ts";
import { type ArithmeticName, requantizationOf } from "./arithmetics.ts";
import { addMultipliers, addMultipliersXnnpack, clamp, requantize, roundHalfEven } from "./requantize.ts";
import { channelOf } from "./requantizers.ts";
import { requantizeNeon } from "./rounding.ts";

/** Two operands and the output; sign -1 subtracts. Offsets are minus the zero points of the inputs. */
export interface Pair extends Output {
  scale1: number;
  scale2: number;
  outputScale: number;
  input1Offset: number;
  input2Offset: number;
  sign: 1 | -1;
  /** 128 where the runtime's codes are uint8, which are 128 less here: a float sum with the zero point rounds as theirs. */
  codeOffset: number;
  /** Two float32 values that are quantized after it: ONNX Runtime, where it has no integer node. */
  isReal: boolean;
}

type Combine = (a: number, b: number) => number;
const f32 = Math.fround;
const clampTo = ({ activationMin, activationMax }: Output, value: number) =>
  clamp(value, activationMin, activationMax);

/** The code of a real value in units of the output scale. */
const withZeroPoint = ({ outputOffset, codeOffset }: Pair, value: number) =>
  roundHalfEven(f32(value + (outputOffset + codeOffset))) - codeOffset;

/** Sum of the real values in float32, divided by the output scale, zero point added before rounding.
 * Source: onnxruntime-web 1.30.0 (WASM) and the generic code of mlas qladd.cpp 0465fe9, executed. */
function addOnnxRuntime(p: Pair): Combine {
  const [s1, s2, so] = [f32(p.scale1), f32(p.scale2), f32(p.outputScale)];
  return (a, b) => {
    const real = f32(f32(s1 * (a + p.input1Offset)) + f32(p.sign * f32(s2 * (b + p.input2Offset))));
    return clampTo(p, withZeroPoint(p, f32(real / so)));
  };
}

/** Ratios to the output scale and fused multiply-adds. Source: the same, x86. A double holds the sum of a product of 33
 * bits and a float32 of a like magnitude exactly. */
function addOnnxRuntimeX86(p: Pair): Combine {
  const [r1, r2] = [f32(p.scale1 / p.outputScale), f32((p.sign * p.scale2) / p.outputScale)];
  const zeros = f32(f32(r1 * -p.input1Offset) + f32(r2 * -p.input2Offset));
  const constant = f32(p.outputOffset - zeros);
  return (a, b) => clampTo(p, roundHalfEven(f32(a * r1 + f32(b * r2 + constant))));
}

/** XNNPACK's 21-bit multipliers with ties away from zero. Source: QNNPACK add in torch 1.13.1, executed. */
function addQnnpack(p: Pair): Combine {
  const { input1Multiplier, input2Multiplier, shift } = addMultipliersXnnpack(
    p.scale1,
    p.scale2,
    p.outputScale,
  );
  return (a, b) => {
    const sum = (a + p.input1Offset) * input1Multiplier + p.sign * (b + p.input2Offset) * input2Multiplier;
    const magnitude = Math.floor((Math.abs(sum) + 2 ** (shift - 1)) / 2 ** shift);
    return clampTo(p, (sum < 0 ? -magnitude : magnitude) + p.outputOffset);
  };
}

/** TFLite's three rescalings with a right shift half up. Source: LiteRT f674577 optimized AddElementwise on NEON. */
function addNeon(p: Pair): Combine {
  const m = addMultipliers(p.scale1, p.scale2, p.outputScale);
  return (a, b) => {
    const u = requantizeNeon(
      ((a + p.input1Offset) * 2 ** m.leftShift) | 0,
      m.input1Multiplier,
      m.input1Shift,
    );
    const v = requantizeNeon(
      ((b + p.input2Offset) * 2 ** m.leftShift) | 0,
      m.input2Multiplier,
      m.input2Shift,
    );
    return clampTo(
      p,
      requantizeNeon((u + p.sign * v) | 0, m.outputMultiplier, m.outputShift) + p.outputOffset,
    );
  };
}

/** One scale for all three, and zero points 0. Source: esp-dl 12c0616; ai8x-synthesis ab4f4c0. */
function addSaturating(p: Pair): Combine {
  return (a, b) => clampTo(p, clamp(a + p.sign * b, -128, 127));
}

export const ADD_FORMS = {
  onnxruntime: addOnnxRuntime,
  "onnxruntime-x86": addOnnxRuntimeX86,
  qnnpack: addQnnpack,
  neon: addNeon,
  saturating: addSaturating,
} as const satisfies Record<string, (pair: Pair) => Combine>;

/** Float32 product with one scale, zero point added before rounding. Source: onnxruntime 1.30.0 QLinearMul, executed. */
export function multiplyOnnxRuntime(p: Pair): Combine {
  const [s1, s2, so] = [f32(p.scale1), f32(p.scale2), f32(p.outputScale)];
  const scale = f32(f32(s1 * s2) / so);
  return (a, b) => {
    if (p.isReal) {
      const real = f32(f32(s1 * (a + p.input1Offset)) * f32(s2 * (b + p.input2Offset)));
      return clampTo(p, withZeroPoint(p, f32(real / so)));
    }
    const product = (a + p.input1Offset) * (b + p.input2Offset);
    return clampTo(p, withZeroPoint(p, f32(product * scale)));
  };
}

/** The product requantized as one accumulator. */
export function multiplyRequantized(p: Pair, arithmetic: ArithmeticName): Combine {
  const factor = {
    double: (p.scale1 * p.scale2) / p.outputScale,
    float: f32(f32(p.scale1 * p.scale2) / p.outputScale),
  };
  const args = requantizationOf(arithmetic, [factor]);
  return (a, b) =>
    requantize(args.requantizer, (a + p.input1Offset) * (b + p.input2Offset), channelOf(args, 0), p);
}
