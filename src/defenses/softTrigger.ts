/** A blend toward a picture: A(x) = (1 - mask) x + mask pattern, the mask shared by the channels. */
export interface SoftTrigger {
  /** height * width, [0, 1]. */
  mask: Float32Array;
  /** height * width * channels, pixel units. */
  pattern: Float32Array;
}

/** How triggers are put on images and gradients come back to them. */
export interface Blends {
  /** A(x) of `count` images into `output` (pixel units, not rounded). */
  blend(trigger: SoftTrigger, pixels: Uint8Array, count: number, output: Float32Array): void;
  /** d loss / d mask and d loss / d pattern from d loss / d A(x): sums over images (and, for the mask, channels). */
  blendGradient(
    trigger: SoftTrigger,
    pixels: Uint8Array,
    gradient: Float32Array,
    output: { mask: Float64Array; pattern: Float64Array },
  ): void;
}

function blend(trigger: SoftTrigger, pixels: Uint8Array, count: number, output: Float32Array): void {
  const { mask, pattern } = trigger;
  const channels = pattern.length / mask.length;
  for (let i = 0, at = 0; i < count; i++)
    for (let p = 0, c = 0; p < mask.length; p++) {
      const share = mask[p];
      for (let end = c + channels; c < end; c++, at++) {
        const pixel = pixels[at];
        output[at] = pixel + share * (pattern[c] - pixel);
      }
    }
}

function blendGradient(
  trigger: SoftTrigger,
  pixels: Uint8Array,
  gradient: Float32Array,
  output: { mask: Float64Array; pattern: Float64Array },
): void {
  const { mask, pattern } = trigger;
  const { mask: maskSums, pattern: patternSums } = output;
  const channels = pattern.length / mask.length;
  maskSums.fill(0);
  patternSums.fill(0);
  for (let at = 0; at < gradient.length; )
    for (let p = 0, c = 0; p < mask.length; p++) {
      const share = mask[p];
      let sum = maskSums[p];
      for (let end = c + channels; c < end; c++, at++) {
        const slope = gradient[at];
        patternSums[c] += slope * share;
        sum += slope * (pattern[c] - pixels[at]);
      }
      maskSums[p] = sum;
    }
}

/** Without a backend. */
export const PLAIN_BLENDS: Blends = { blend, blendGradient };

/** L1 norm of the mask, in pixels. */
export function maskNorm(trigger: SoftTrigger): number {
  let sum = 0;
  for (const value of trigger.mask) sum += Math.abs(value);
  return sum;
}

/** Intersection over union with a 0/1 mask, after binarising at half of the largest value. */
export function maskIou(trigger: SoftTrigger, truth: Uint8Array): number {
  const cut = trigger.mask.reduce((a, b) => Math.max(a, b), 0) / 2;
  let [both, either] = [0, 0];
  for (let p = 0; p < truth.length; p++) {
    const inside = trigger.mask[p] > cut;
    if (inside && truth[p]) both++;
    if (inside || truth[p]) either++;
  }
  return either === 0 ? 0 : both / either;
}
