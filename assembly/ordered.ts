/** Convolutions whose accumulator saturates, so that the order of the sum shows. Scalar, one output at a time.
 * ESP32-S3 (EE.VMULAS.S8.QACC): 20 bits a lane, saturated at every product in the order filter row, column, input channel.
 * AVX2 without VNNI (vpmaddubsw): products of uint8 activations and int8 weights, added in pairs that saturate at 16 bits. */
import { Ordered } from "./params";
import { requantizeOne } from "./requantize";

const SATURATE_20: i32 = 0;

@inline
function saturate(value: i32, low: i32, high: i32): i32 {
  return min(max(value, low), high);
}

/** One output: the first tap at (top, left) of the image, which may lie outside. weights: [height][width][depth]. */
function saturatingSum(p: Ordered, input: usize, top: i32, left: i32, weights: usize, acc: i32): i32 {
  const limit = 1 << 19,
    depth = p.groupDepth;
  acc = saturate(acc, -limit, limit - 1);
  for (let i = 0; i < p.filterHeight; i++) {
    const y = top + i * p.dilationHeight;
    for (let j = 0; j < p.filterWidth; j++, weights += <usize>depth) {
      const x = left + j * p.dilationWidth;
      if (y < 0 || x < 0 || y >= p.inputHeight || x >= p.inputWidth) continue;
      const pixel = input + <usize>((y * p.inputWidth + x) * p.inputDepth);
      for (let k: usize = 0; k < <usize>depth; k++) {
        const product = (<i32>load<i8>(pixel + k) + p.inputOffset) * <i32>load<i8>(weights + k);
        acc = saturate(acc + product, -limit, limit - 1);
      }
    }
  }
  return acc;
}

/** The same in pairs. A tap in the padding is the zero point as uint8; acc: bias less the zero point's share. */
function pairedSum(p: Ordered, input: usize, top: i32, left: i32, weights: usize, acc: i32): i32 {
  const depth = p.groupDepth,
    zeroPoint = 128 - p.inputOffset;
  let odd = false,
    first = 0;
  for (let i = 0; i < p.filterHeight; i++) {
    const y = top + i * p.dilationHeight;
    for (let j = 0; j < p.filterWidth; j++) {
      const x = left + j * p.dilationWidth,
        inside = y >= 0 && x >= 0 && y < p.inputHeight && x < p.inputWidth;
      const pixel = input + <usize>((y * p.inputWidth + x) * p.inputDepth);
      for (let k: usize = 0; k < <usize>depth; k++, weights++) {
        const value = inside ? <i32>load<i8>(pixel + k) + 128 : zeroPoint;
        const product = value * <i32>load<i8>(weights);
        if (odd) acc += saturate(first + product, -32768, 32767);
        first = product;
        odd = !odd;
      }
    }
  }
  return odd ? acc + first : acc;
}

function pixelOutputs(p: Ordered, input: usize, top: i32, left: i32, output: usize): void {
  const length = <usize>(p.filterHeight * p.filterWidth * p.groupDepth);
  for (let channel = 0; channel < p.outputDepth; channel++) {
    const group = input + <usize>((channel / p.groupOutputs) * p.groupDepth),
      word = (<usize>channel) << 2;
    const weights = p.weights + <usize>channel * length,
      bias = load<i32>(p.bias + word);
    const acc =
      p.accumulator == SATURATE_20
        ? saturatingSum(p, group, top, left, weights, bias)
        : pairedSum(p, group, top, left, weights, bias);
    const value = requantizeOne(
      p.requantizer,
      acc,
      load<i32>(p.multipliers + word),
      load<i32>(p.shifts + word),
      load<f32>(p.scales + word),
      p.outputOffset,
      p.activationMin,
      p.activationMax,
    );
    store<i8>(output + <usize>channel, <i8>value);
  }
}

export function conv_2d_ordered_s8(params: usize): void {
  const p = changetype<Ordered>(params);
  const imageBytes = <usize>(p.inputHeight * p.inputWidth * p.inputDepth);
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += imageBytes) {
    for (let y = 0; y < p.outputHeight; y++) {
      for (let x = 0; x < p.outputWidth; x++, output += <usize>p.outputDepth) {
        pixelOutputs(p, input, y * p.strideHeight - p.padTop, x * p.strideWidth - p.padLeft, output);
      }
    }
  }
}
