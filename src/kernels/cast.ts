/** CAST between int8 and int32, and between int8 and uint8: codes as they are, their low eight bits where they do not fit. */
import type { Op, Values } from "./args.ts";
import { makeStep } from "./step.ts";

/** inputOffset: added to the code first; 128 where int8 stands for uint8, on either side. */
export interface CastArgs {
  elements: number;
  from: "int8" | "int32";
  to: "int8" | "int32";
  inputOffset: number;
}

const WIDTH = { int8: 1, int32: 4 };
const toInt8 = (value: number) => (value << 24) >> 24;

export const CAST: Op<CastArgs> = {
  macs: () => 0,
  prepare(kernels, { elements, from, to, inputOffset }) {
    const mark = kernels.mark();
    const bytes = { inputBytes: elements * WIDTH[from], outputBytes: elements * WIDTH[to] };
    if (from === to) {
      const table = kernels.place(Int8Array.from({ length: 256 }, (_, byte) => toInt8(byte + inputOffset)));
      return makeStep(kernels, mark, "lookup_s8", "Lookup", { elements, table }, bytes);
    }
    const kernel = from === "int8" ? "cast_s8_s32" : "cast_s32_s8";
    return makeStep(kernels, mark, kernel, "Cast", { elements, inputOffset }, bytes);
  },
  reference: ({ to, inputOffset }, [input]: readonly Values[]) =>
    to === "int32"
      ? Int32Array.from(input, (value) => value + inputOffset)
      : Int8Array.from(input, (value) => toInt8(value + inputOffset)),
};
