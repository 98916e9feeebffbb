/** ADD, SUB and MUL of two int8 codes in the forms that no other family shares, one pair at a time. */

import type { Output } from "./args.ts";
import { type ArithmeticName, requantizationOf } from "./arithmetics.ts";
import { fusedMultiplyAdd, toInt32 } from "./fused.ts";
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
  /** The kernel's first operand is the second here: its product is the last that is added. */
  isSwapped: boolean;
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

/** Ratios to the output scale, codes and zero points as they are, multiply-adds fused: in the constant part by the compiler.
 * Source: mlas intrinsics/avx2/qladd_avx2.cpp 2c12538; onnxruntime-node 1.30.0 executed. */
function addOnnxRuntimeX86(p: Pair): Combine {
  if (p.isReal) return addOnnxRuntime(p);
  const ends = [
    { ratio: f32(p.scale1 / p.outputScale), zero: p.codeOffset - p.input1Offset },
    { ratio: f32(p.scale2 / p.outputScale), zero: p.codeOffset - p.input2Offset },
  ];
  const [x, y] = p.isSwapped ? ends.reverse() : ends;
  const zeros = fusedMultiplyAdd(x.ratio, x.zero, f32(y.ratio * y.zero));
  const constant = f32(p.outputOffset + p.codeOffset - zeros);
  return (a, b) => {
    const [last, first] = (p.isSwapped ? [b, a] : [a, b]).map((code) => code + p.codeOffset);
    const sum = fusedMultiplyAdd(last, x.ratio, fusedMultiplyAdd(first, y.ratio, constant));
    return clampTo(p, toInt32(roundHalfEven(sum)) - p.codeOffset);
  };
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

/** Product of the real values in float32, divided by the output scale, zero point added before rounding.
 * Source: the generic code of mlas qlmul.cpp 22d8289; onnxruntime-web 1.30.0 executed. */
function multiplyOnnxRuntime(p: Pair): Combine {
  const [s1, s2, so] = [f32(p.scale1), f32(p.scale2), f32(p.outputScale)];
  return (a, b) => {
    const real = f32(f32(s1 * (a + p.input1Offset)) * f32(s2 * (b + p.input2Offset)));
    return clampTo(p, withZeroPoint(p, f32(real / so)));
  };
}

/** Product of the codes with one ratio. What int32 has not is the least code, as CVTPS2DQ makes it.
 * Source: mlas qlmul.cpp 22d8289; onnxruntime-node 1.30.0 executed. */
function multiplyOnnxRuntimeX86(p: Pair): Combine {
  if (p.isReal) return multiplyOnnxRuntime(p);
  const ratio = f32(f32(f32(p.scale1) * f32(p.scale2)) / f32(p.outputScale));
  return (a, b) => {
    const product = (a + p.input1Offset) * (b + p.input2Offset);
    return clampTo(p, toInt32(withZeroPoint(p, f32(product * ratio))));
  };
}

export const MUL_FORMS = {
  onnxruntime: multiplyOnnxRuntime,
  "onnxruntime-x86": multiplyOnnxRuntimeX86,
} as const satisfies Record<string, (pair: Pair) => Combine>;

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
