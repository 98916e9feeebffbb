import type { Operands, Step } from "./args.ts";
import type { Kernels } from "./module.ts";
import { type Block, type Field, PARAMS, setParam, writeParams } from "./params.ts";

/** batches is the first field of every block. */
const BATCHES = 0;

/** A step around one parameter block. mark: what was allocated before its constants. */
export function makeStep<B extends Exclude<Block, "Primitive">>(
  kernels: Kernels,
  mark: number,
  kernel: string,
  block: B,
  values: Partial<Record<Field<B>, number>>,
  bytes: { inputBytes: number; input2Bytes?: number; outputBytes: number; scratchBytes?: number },
): Step {
  const params = writeParams(kernels, block, values);
  const call = kernels.exports[kernel];
  const fields: readonly string[] = PARAMS[block];
  let written = 0;
  return {
    kernel,
    params,
    scratchBytes: 0,
    ...bytes,
    constantBytes: kernels.mark() - mark,
    bind(operands: Operands) {
      for (const [name, address] of Object.entries(operands)) {
        if (fields.includes(name)) setParam(kernels, params, block, name as Field<B>, address as number);
      }
    },
    run(batches: number) {
      if (batches !== written) {
        new Int32Array(kernels.memory.buffer, params, 1)[BATCHES] = batches;
        written = batches;
      }
      call(params);
    },
  };
}
