/** QUANTIZE, DEQUANTIZE, 256-entry tables, PAD and copies. */
import { Cast, Copy, Lookup, Pad, Quantize } from "./params";

/** round(value), or rint(value) where halfEven; beyond +-512, which any zero point saturates. */
@inline
function toInteger(value: f32, halfEven: bool): i32 {
  const limited = min<f32>(max<f32>(value, -512), 512);
  if (halfEven) return <i32>nearest(limited);
  const whole = trunc(limited);
  return <i32>(abs(limited - whole) >= 0.5 ? whole + copysign<f32>(1, limited) : whole);
}

/** float32 to int8. Source: TFLite reference AffineQuantize; XNNPACK f32-qs8-vcvt where halfEven is 1;
 * ONNX Runtime QuantizeLinear where it is 2. */
export function quantize_f32_s8(params: usize): void {
  const p = changetype<Quantize>(params),
    scale = reinterpret<f32>(p.scale),
    inverse: f32 = 1 / scale;
  const halfEven = p.halfEven != 0;
  for (let i: usize = 0, end = <usize>(p.batches * p.elements); i < end; i++) {
    const x = load<f32>(p.input + (i << 2));
    const real = p.halfEven == 1 ? x * inverse : x / scale;
    const code = real == real ? toInteger(real, halfEven) + p.zeroPoint : p.nan;
    store<i8>(p.output + i, <i8>min(max(code, -128), 127));
  }
}

/** int8 to float32: the product of nine bits and a float32, rounded once. Source: TFLite reference Dequantize, XNNPACK. */
export function dequantize_s8_f32(params: usize): void {
  const p = changetype<Quantize>(params),
    scale = reinterpret<f32>(p.scale);
  for (let i: usize = 0, end = <usize>(p.batches * p.elements); i < end; i++) {
    store<f32>(p.output + (i << 2), <f32>(<i32>load<i8>(p.input + i) - p.zeroPoint) * scale);
  }
}

/** int8 to int8 by table. */
export function lookup_s8(params: usize): void {
  const p = changetype<Lookup>(params);
  for (let i: usize = 0, end = <usize>(p.batches * p.elements); i < end; i++) {
    store<u8>(p.output + i, load<u8>(p.table + <usize>load<u8>(p.input + i)));
  }
}

/** Fills with `value` and copies the rows of the last dimension into place. */
export function pad_s8(params: usize): void {
  const p = changetype<Pad>(params);
  const row = <usize>p.size2,
    outputRow = <usize>(p.before2 + p.size2 + p.after2);
  const outputPlane = <usize>(p.before1 + p.size1 + p.after1) * outputRow;
  const outputBytes = <usize>(p.before0 + p.size0 + p.after0) * outputPlane;
  let input = p.input,
    output = p.output;
  memory.fill(output, <u8>p.value, <usize>p.batches * outputBytes);
  for (let image = 0; image < p.batches; image++, output += outputBytes) {
    let plane = output + <usize>p.before0 * outputPlane + <usize>p.before1 * outputRow + <usize>p.before2;
    for (let i = 0; i < p.size0; i++, plane += outputPlane) {
      let target = plane;
      for (let j = 0; j < p.size1; j++, target += outputRow, input += row) memory.copy(target, input, row);
    }
  }
}

/** The types of a CAST, as src/kernels/cast.ts numbers them. */
const INT8: i32 = 0;
const INT16: i32 = 1;
const INT32: i32 = 2;
const FLOAT32: i32 = 3;

@inline
function loadWhole(type: i32, values: usize, i: usize): i32 {
  if (type == INT8) return <i32>load<i8>(values + i);
  if (type == INT16) return <i32>load<i16>(values + (i << 1));
  return load<i32>(values + (i << 2));
}

/** The low bits that the type has. */
@inline
function storeWhole(type: i32, values: usize, i: usize, value: i32): void {
  if (type == INT8) store<i8>(values + i, <i8>value);
  else if (type == INT16) store<i16>(values + (i << 1), <i16>value);
  else store<i32>(values + (i << 2), value);
}

/** Toward zero, limited to [low, high] first; the low 32 bits. */
@inline
function truncated(p: Cast, value: f32): i32 {
  if (value != value) return p.nan;
  const limited = min<f64>(max<f64>(<f64>value, <f64>p.low), <f64>(<u32>p.high));
  return <i32>(<i64>limited);
}

/** From one type to another. Offsets: to and from the value where int8 stands for uint8. */
export function cast(params: usize): void {
  const p = changetype<Cast>(params);
  for (let i: usize = 0, end = <usize>(p.batches * p.elements); i < end; i++) {
    const value =
      p.from == FLOAT32 ? truncated(p, load<f32>(p.input + (i << 2))) : loadWhole(p.from, p.input, i) + p.inputOffset;
    if (p.to == FLOAT32) store<f32>(p.output + (i << 2), <f32>value);
    else storeWhole(p.to, p.output, i, value + p.outputOffset);
  }
}

export function copy(params: usize): void {
  const p = changetype<Copy>(params);
  memory.copy(p.output, p.input, <usize>(p.batches * p.bytes));
}
