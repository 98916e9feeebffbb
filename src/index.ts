/**
 * Blindspot as a library: models, profiles, bit-exact execution, defenses. Runs in Node, browsers and Workers alike; what
 * only a runtime knows (the compiled wasm module, files) is an argument.
 */
export type { ImageSet } from "./data/dataset.ts";
export { formatNpy, type NpyArray, parseNpy } from "./data/npy.ts";
export type { Defense, Material, Outcome, Subject } from "./defenses/defense.ts";
export { DEFENSES } from "./defenses/index.ts";
export { DataError, ModelFormatError, ProfileError, UnsupportedOpError } from "./errors.ts";
export { EXPORTERS, type Exporter } from "./export/index.ts";
export { askedLevel, askedSubject } from "./harness/askedSubject.ts";
export { type CompareOptions, type Comparison, compareProfiles } from "./harness/compare.ts";
export { type Resumable, resumable, Suspended } from "./harness/resume.ts";
export { IMPORTERS, type Importer, importModel } from "./import/index.ts";
export { type ModelVectors, parseModelVectors } from "./import/modelVectors.ts";
export { type RuntimeReport, type VerifyModelOptions, verifyModel } from "./import/verifyModel.ts";
export { bindKernels, type KernelOptions, type Kernels } from "./kernels/module.ts";
export { type VectorResult, verifyVectorFile } from "./kernels/vectors.ts";
export { type CompileOptions, compile, type Plan, type Values } from "./model/compile.ts";
export { estimateLatency } from "./model/estimate.ts";
export { readModel, type SavedModel, writeModel } from "./model/file.ts";
export type { DType, Graph, Node, OpName, Quantization, Tensor } from "./model/graph.ts";
export { type ImageInput, imageInput } from "./model/imageInput.ts";
export { type Inspection, inspectModel, inspectTarget, runsOn, type TargetInfo } from "./model/inspect.ts";
export { parseProfile } from "./profile/parse.ts";
export { type Profile, profileSchema } from "./profile/schema.ts";
export {
  activationsFor,
  fromRanges,
  quantizeStatic,
  type Ranges,
  type StaticScheme,
  weightBytes,
} from "./quantize/ptq.ts";
export { type Random, seededRandom } from "./random.ts";
