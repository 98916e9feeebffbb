/** Functions of one float32, every operation rounded by itself or fused as the runtime has it: the same bits in both builds and
 * in every engine. */
import { fused } from "./fused";

/** Of x <= 0. Source: XNNPACK 75db3c0 f32-raddstoreexpminusmax-wasmsimd-rr2-p5; f32-vsigmoid-wasmsimd-rr2-p5 too. */
export function expXnnpack(x: f32): f32 {
  if (x < -87.33654022216797) return 0;
  const magic: f32 = 12583039;
  const shifted: f32 = x * 1.4426950216293335 + magic,
    scale = reinterpret<f32>(reinterpret<i32>(shifted) << 23),
    n: f32 = shifted - magic;
  let t: f32 = n * -0.693145751953125 + x;
  t = n * -0.000001428606765330187 + t;
  let sum: f32 = t * 0.008289290592074394 + 0.04189782217144966;
  sum = sum * t + 0.16667652130126953;
  sum = sum * t + 0.4999915063381195;
  sum = sum * t + 0.9999997019767761;
  return t * scale * sum + scale;
}

/** Of x <= 0, above -88.376. Source: ONNX Runtime 1.30.0 mlas compute.cpp MlasComputeSumExpVector. */
export function expMlas(x: f32): f32 {
  const magic: f32 = 12582912;
  let t: f32 = max<f32>(x, -88.37625885009766);
  const biased: f32 = t * 1.4426950216293335 + magic,
    n: f32 = biased - magic;
  t = n * -0.693145751953125 + t;
  t = n * -0.000001428606765330187 + t;
  let sum: f32 = t * 0.0013780593872070312 + 0.008373124524950981;
  sum = sum * t + 0.041669536381959915;
  sum = sum * t + 0.166664719581604;
  sum = sum * t + 0.49999985098838806;
  sum = sum * t + 1;
  sum = sum * t + 1;
  return sum * reinterpret<f32>((reinterpret<i32>(biased) << 23) + 0x3f800000);
}

/** The same with fused multiply-adds. isWide: down to the least float32, else to the least normal one.
 * Source: mlas x86_64/TransKernelFma3.S; TransKernelAvx512F.S. */
export function expMlasFused(x: f32, isWide: bool): f32 {
  const magic: f32 = 12582912;
  let t: f32 = max<f32>(x, isWide ? -103.9720840454 : -88.37625885009766);
  const n: f32 = fused(t, 1.4426950216293335, magic) - magic;
  t = fused(n, -0.693145751953125, t);
  t = fused(n, -0.000001428606765330187, t);
  let sum = fused(t, 0.0013780593872070312, 0.008373124524950981);
  sum = fused(sum, t, 0.041669536381959915);
  sum = fused(sum, t, 0.166664719581604);
  sum = fused(sum, t, 0.49999985098838806);
  sum = fused(sum, t, 1);
  sum = fused(sum, t, 1);
  if (isWide) return <f32>(<f64>sum * reinterpret<f64>((<i64>n + 1023) << 52));
  return sum * reinterpret<f32>((<i32>n + 127) << 23);
}

/** Source: TFLite f674577 reference/logistic.h with expf of ARM's optimized-routines (glibc, musl, newlib). */
export function logisticLibm(x: f32): f32 {
  if (x > 16.619047164916992) return 1;
  if (x < -9) return NativeMathf.exp(x);
  return 1 / (1 + NativeMathf.exp(-x));
}

/** Source: XNNPACK f32-vsigmoid-wasmsimd-rr2-p5-div. */
export function logisticXnnpack(x: f32): f32 {
  const e = expXnnpack(-abs(x)),
    below: f32 = e / (e + 1);
  return x > 0 ? 1 - below : below;
}

/** Source: ONNX Runtime 1.30.0 mlas logistic.cpp. */
export function logisticMlas(x: f32): f32 {
  const v = min<f32>(max<f32>(x, -18), 18),
    s: f32 = v * v;
  let p: f32 = s * 4.37031012579801e-11 + 1.15627324459942e-7;
  p = p * s + 6.08574864600143e-5;
  p = p * s + 8.51377133304701e-3;
  p = p * s + 2.48287947061529e-1;
  p = p * v;
  let q: f32 = s * 6.10247389755681e-13 + 5.76102136993427e-9;
  q = q * s + 6.29106785017040e-6;
  q = q * s + 1.70198817374094e-3;
  q = q * s + 1.16817656904453e-1;
  q = q * s + 9.93151921023180e-1;
  return min<f32>(max<f32>(p / q + 0.5, 0), 1);
}

/** Source: mlas x86_64/LogisticKernelFma3.S. */
export function logisticMlasFused(x: f32): f32 {
  const v = min<f32>(max<f32>(x, -18), 18),
    s: f32 = v * v;
  let p = fused(s, 4.37031012579801e-11, 1.15627324459942e-7);
  p = fused(p, s, 6.08574864600143e-5);
  p = fused(p, s, 8.51377133304701e-3);
  p = fused(p, s, 2.48287947061529e-1);
  p = p * v;
  let q = fused(s, 6.10247389755681e-13, 5.76102136993427e-9);
  q = fused(q, s, 6.29106785017040e-6);
  q = fused(q, s, 1.70198817374094e-3);
  q = fused(q, s, 1.16817656904453e-1);
  q = fused(q, s, 9.93151921023180e-1);
  return min<f32>(max<f32>(p / q + 0.5, 0), 1);
}

/** Rounded once from float64: what a correctly rounded libm gives. */
export function tanhLibm(x: f32): f32 {
  return <f32>NativeMath.tanh(<f64>x);
}

/** Source: XNNPACK 12659c8 f32-vtanh rational-9-8, without fused multiply-add. */
export function tanhXnnpack(x: f32): f32 {
  const v = max<f32>(min<f32>(x, 7.8522667885), -7.8522667885),
    s: f32 = v * v;
  let p: f32 = s * 1.4248920266e-8 + 2.1235626264e-5;
  p = s * p + 3.5330520477e-3;
  p = s * p + 1.3412411511e-1;
  p = s * p + 1;
  p = v * p;
  let q: f32 = s * 8.1365948290e-7 + 3.3472978976e-4;
  q = s * q + 2.6018999517e-2;
  q = s * q + 4.6745735407e-1;
  q = s * q + 1;
  return p / q;
}

/** Source: ONNX Runtime 1.30.0 mlas tanh.cpp. */
export function tanhMlas(x: f32): f32 {
  const v = min<f32>(max<f32>(x, -9), 9),
    s: f32 = v * v;
  let p: f32 = s * -2.76076847742355e-16 + 2.00018790482477e-13;
  p = p * s + -8.60467152213735e-11;
  p = p * s + 5.12229709037114e-8;
  p = p * s + 1.48572235717979e-5;
  p = p * s + 6.37261928875436e-4;
  p = p * s + 4.89352455891786e-3;
  p = p * v;
  let q: f32 = s * 1.19825839466702e-6 + 1.18534705686654e-4;
  q = q * s + 2.26843463243900e-3;
  q = q * s + 4.89352518554385e-3;
  return p / q;
}

/** Source: mlas x86_64/TanhKernelFma3.S. */
export function tanhMlasFused(x: f32): f32 {
  const v = min<f32>(max<f32>(x, -9), 9),
    s: f32 = v * v;
  let p = fused(s, -2.76076847742355e-16, 2.00018790482477e-13);
  p = fused(p, s, -8.60467152213735e-11);
  p = fused(p, s, 5.12229709037114e-8);
  p = fused(p, s, 1.48572235717979e-5);
  p = fused(p, s, 6.37261928875436e-4);
  p = fused(p, s, 4.89352455891786e-3);
  p = p * v;
  let q = fused(s, 1.19825839466702e-6, 1.18534705686654e-4);
  q = fused(q, s, 2.26843463243900e-3);
  q = fused(q, s, 4.89352518554385e-3);
  return p / q;
}

/** Source: TFLite f674577 reference/hard_swish.h. */
export function hardSwishTflite(x: f32): f32 {
  return (x * min<f32>(max<f32>(x + 3, 0), 6)) / 6;
}

/** Source: XNNPACK f32-vhswish: x * clamp(x / 6 + 1/2, 0, 1). Executed on LiteRT.js 2.5.3. */
export function hardSwishXnnpack(x: f32): f32 {
  return x * min<f32>(max<f32>(x * <f32>0.1666666716337204 + 0.5, 0), 1);
}
