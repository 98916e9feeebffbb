/** Ops made of several kernels: one image after another, with what is between them in scratch. */
import type { Operands, Step } from "./args.ts";

/** Where a part reads or writes: an operand of the whole, a temporary by its index, or a constant by its address. */
export type Place = "input" | "input2" | "output" | number | { constant: number };

export interface Part {
  step: Step;
  input: Place;
  input2?: Place;
  output: Place;
}

const align = (bytes: number) => Math.ceil(bytes / 16) * 16;

/** bytes: of one image of each operand of the whole; temporaries: bytes of each. */
export function composeSteps(
  parts: readonly Part[],
  bytes: { inputBytes: number; input2Bytes?: number; outputBytes: number },
  temporaries: readonly number[],
): Step {
  const own = Math.max(...parts.map(({ step }) => step.scratchBytes));
  const offsets = temporaries.map((_, i) =>
    temporaries.slice(0, i).reduce((sum, size) => sum + align(size), align(own)),
  );
  let bound: Operands = { input: 0, output: 0 };
  const sizes = { input: bytes.inputBytes, input2: bytes.input2Bytes ?? 0, output: bytes.outputBytes };
  const at = (place: Place, image: number) => {
    if (typeof place === "object") return place.constant;
    return typeof place === "number" ? bound.scratch! + offsets[place] : bound[place]! + image * sizes[place];
  };
  return {
    kernel: parts.at(-1)!.step.kernel,
    params: parts.at(-1)!.step.params,
    ...bytes,
    scratchBytes: align(own) + temporaries.reduce((sum, size) => sum + align(size), 0),
    constantBytes: parts.reduce((sum, { step }) => sum + step.constantBytes, 0),
    bind: (operands) => {
      bound = operands;
    },
    run(batches) {
      for (let image = 0; image < batches; image++)
        for (const { step, input, input2, output } of parts) {
          const second = input2 === undefined ? {} : { input2: at(input2, image) };
          step.bind({
            input: at(input, image),
            ...second,
            output: at(output, image),
            scratch: bound.scratch,
          });
          step.run(1);
        }
    },
  };
}
