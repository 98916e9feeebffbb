import type { Blends } from "../defenses/softTrigger.ts";
import type { FloatBackend } from "./backend.ts";

/** The blends of src/defenses/softTrigger.ts in the backend's memory (assembly/train/blend.ts): the same bits, faster. */
export function floatBlends(backend: FloatBackend): Blends {
  const { kernels } = backend;
  /** Room for the operands of a call, eight bytes to a value at most; `place` gives the next piece of it. */
  const room = (bytes: number) => {
    let next = backend.scratch(bytes + 64);
    return (length: number, width: number) => {
      const at = next;
      next += 8 * Math.ceil((length * width) / 8);
      return at;
    };
  };
  return {
    blend({ mask, pattern }, pixels, count, output) {
      const [area, length] = [mask.length, pattern.length];
      const place = room(5 * count * length + 20 * length + 4 * area);
      const [maskAt, patternAt, pixelsAt] = [place(area, 4), place(length, 4), place(count * length, 1)];
      const [outAt, scratch] = [place(count * length, 4), place(length, 16)];
      backend.floats(maskAt, area).set(mask);
      backend.floats(patternAt, length).set(pattern);
      backend.bytes(pixelsAt, count * length).set(pixels.subarray(0, count * length));
      kernels.blend_u8(maskAt, patternAt, pixelsAt, area, length / area, count, outAt, scratch);
      output.set(backend.floats(outAt, count * length));
    },
    blendGradient({ mask, pattern }, pixels, gradient, output) {
      const [area, length] = [mask.length, pattern.length];
      const count = gradient.length / length;
      const place = room(5 * count * length + 36 * length + 12 * area);
      const [maskAt, patternAt, pixelsAt] = [place(area, 4), place(length, 4), place(count * length, 1)];
      const [gradientAt, dMask, dPattern] = [place(count * length, 4), place(area, 8), place(length, 8)];
      backend.floats(maskAt, area).set(mask);
      backend.floats(patternAt, length).set(pattern);
      backend.bytes(pixelsAt, count * length).set(pixels.subarray(0, count * length));
      backend.floats(gradientAt, count * length).set(gradient);
      kernels.blend_gradient_u8(
        maskAt,
        patternAt,
        pixelsAt,
        area,
        length / area,
        count,
        gradientAt,
        dMask,
        dPattern,
        place(length, 24),
      );
      output.mask.set(new Float64Array(backend.memory.buffer, dMask, area));
      output.pattern.set(new Float64Array(backend.memory.buffer, dPattern, length));
    },
  };
}
