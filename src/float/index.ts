/** Float models on tfjs's wasm backend: execution, training, calibration. Needs what a Workers runtime has not: compiling
 * wasm from bytes. */
export { ARCHITECTURES, type ArchitectureOptions } from "./architectures.ts";
export { type FloatBackend, startBackend } from "./backend.ts";
export { calibrate } from "./calibrate.ts";
export { forward, observe, type Pixels, type Prepared, prepare } from "./execute.ts";
export { foldBatchNorm } from "./fold.ts";
export { type TrainOptions, type TuneOptions, train, tune } from "./train.ts";
