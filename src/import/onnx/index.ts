import { ModelFormatError, UnsupportedOpError } from "../../errors.ts";
import type { Graph } from "../../model/graph.ts";
import { validateGraph } from "../../model/validate.ts";
import { convert } from "./convert.ts";
import { fuseQuantization, hoistQuantize } from "./fuse.ts";
import { absorbFlattening, fuseActivations, fuseBiases, pruned } from "./passes.ts";
import { type Decoded, ModelProto } from "./schema.ts";
import type { ExternalData } from "./tensor.ts";
import { decodeMessage } from "./wire.ts";

export type { ExternalData } from "./tensor.ts";

const OLDEST = 9;
const NEWEST = 25;
const MAX_NODES = 50_000;

/**
 * Reads an ONNX model: float, QDQ, QOperator, or ONNX Runtime's dynamic quantization; operator sets 9 to 25.
 * Inputs and outputs keep the model's own layout (NCHW): image ops are NHWC, with a TRANSPOSE where a value is read in
 * another layout. A batch without a size is 1. float16 and float64 become float32. DequantizeLinear -> op ->
 * QuantizeLinear becomes one integer node. Dynamically quantized weights are int8 operands of a float op.
 * where: the file's name. externalData: the bytes of files beside the model, by relative path.
 * @throws ModelFormatError naming the offset, tensor or node; UnsupportedOpError with a line for each node.
 */
export function importOnnx(bytes: Uint8Array, where: string, externalData?: ExternalData): Graph {
  const model = decodeMessage(ModelProto, bytes, where);
  const { graph } = model;
  if (!graph || graph.node.length === 0)
    throw new ModelFormatError(where, "an ONNX model with nodes", "none");
  if (graph.node.length > MAX_NODES)
    throw new ModelFormatError(where, `at most ${MAX_NODES} nodes`, `${graph.node.length}`);
  if (graph.output.length === 0) throw new ModelFormatError(where, "an ONNX model with outputs", "none");
  const source = { graph, opset: operatorSet(model, where), where, bytes: bytes.length };
  const { graph: converted, refused, budget } = convert({ ...source, ...(externalData && { externalData }) });
  if (refused.length > 0) throw new UnsupportedOpError(where, refused);
  const fused = pruned(
    absorbFlattening(fuseQuantization(hoistQuantize(simplified(converted)), budget), budget),
  );
  validateGraph(fused, where);
  return fused;
}

const simplified = (graph: Graph) => fuseBiases(fuseActivations(graph));

function operatorSet({ opsetImport }: Decoded<typeof ModelProto>, where: string): number {
  const own = opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx");
  if (!own) throw new ModelFormatError(`${where}: opset_import`, "the ai.onnx operator set", "none");
  if (!(own.version >= OLDEST && own.version <= NEWEST))
    throw new ModelFormatError(
      `${where}: opset_import`,
      `operator set ${OLDEST} to ${NEWEST}`,
      `${own.version}`,
    );
  return own.version;
}
