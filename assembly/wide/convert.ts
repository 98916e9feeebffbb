/** QUANTIZE, DEQUANTIZE and PAD of int16. */
import { Pad, Quantize } from "../params";

/** float32 to int16: round(x / scale), ties away from zero, NaN as 0. Source: TFLite reference AffineQuantize. */
export function quantize_f32_s16(params: usize): void {
  const p = changetype<Quantize>(params),
    scale = reinterpret<f32>(p.scale);
  for (let i: usize = 0, end = <usize>(p.batches * p.elements); i < end; i++) {
    const x = load<f32>(p.input + (i << 2)) / scale;
    const limited: f32 = x != x ? 0 : min<f32>(max<f32>(x, -131072), 131072);
    const whole = trunc(limited);
    const rounded: f32 = abs(limited - whole) >= 0.5 ? whole + copysign<f32>(1, limited) : whole;
    store<i16>(p.output + (i << 1), <i16>min(max(<i32>rounded + p.zeroPoint, -32768), 32767));
  }
}

/** int16 to float32: the product of 17 bits and a float32, rounded once. Source: TFLite reference Dequantize. */
export function dequantize_s16_f32(params: usize): void {
  const p = changetype<Quantize>(params),
    scale = reinterpret<f32>(p.scale);
  for (let i: usize = 0, end = <usize>(p.batches * p.elements); i < end; i++) {
    store<f32>(p.output + (i << 2), <f32>(<i32>load<i16>(p.input + (i << 1)) - p.zeroPoint) * scale);
  }
}

/** Fills with `value` and copies the rows of the last dimension into place. */
export function pad_s16(params: usize): void {
  const p = changetype<Pad>(params);
  const rowBytes = (<usize>p.size2) << 1,
    outputRow = (<usize>(p.before2 + p.size2 + p.after2)) << 1;
  const outputPlane = <usize>(p.before1 + p.size1 + p.after1) * outputRow,
    outputBytes = <usize>(p.before0 + p.size0 + p.after0) * outputPlane;
  let input = p.input,
    output = p.output;
  for (let i: usize = 0, end = <usize>p.batches * outputBytes; i < end; i += 2) store<i16>(output + i, <i16>p.value);
  for (let image = 0; image < p.batches; image++, output += outputBytes) {
    let plane =
      output + <usize>p.before0 * outputPlane + <usize>p.before1 * outputRow + ((<usize>p.before2) << 1);
    for (let i = 0; i < p.size0; i++, plane += outputPlane) {
      let target = plane;
      for (let j = 0; j < p.size1; j++, target += outputRow, input += rowBytes)
        memory.copy(target, input, rowBytes);
    }
  }
}
