import { UnsupportedOpError } from "../errors.ts";
import { ModelProto } from "../import/onnx/schema.ts";
import { encodeMessage } from "../import/onnx/wire.ts";
import type { Graph, Node, OpName } from "../model/graph.ts";
import { ROWS } from "./onnx/rows.ts";
import { OnnxWriter, type Row } from "./onnx/writer.ts";

/** Operator set and IR version: the oldest that has per-axis QuantizeLinear, and the first that has int4. */
const OPERATOR_SET = { plain: 13, int4: 21 } as const;
const IR_VERSION = { plain: 7, int4: 10 } as const;

/**
 * The Graph as an ONNX model that ONNX Runtime runs: float, or QDQ for integer nodes (DequantizeLinear -> operator ->
 * QuantizeLinear, int8 weights along an axis, int32 biases). Operator set 13; 21 where weights are int4. Inputs and
 * outputs keep the Graph's layout, NHWC, and any number of images. The same Graph always gives the same bytes.
 * @throws UnsupportedOpError with a line for each node that ONNX cannot say.
 */
export function exportOnnx(graph: Graph): Uint8Array {
  const form = graph.tensors.some(({ dtype }) => dtype === "int4") ? "int4" : "plain";
  const writer = new OnnxWriter(graph, OPERATOR_SET[form]);
  const refused = graph.nodes.flatMap((node, i) => {
    const reason = (ROWS as Record<OpName, Row<Node>>)[node.op](writer, node);
    return reason === "" ? [] : [`${i} ${node.op} ${node.name}: ${reason}`];
  });
  if (refused.length > 0) throw new UnsupportedOpError(`${graph.name} as ONNX`, refused);
  for (const id of graph.outputs) writer.codes(id, "plain");
  return encodeMessage(ModelProto, {
    irVersion: IR_VERSION[form],
    producerName: "blindspot",
    opsetImport: [{ domain: "", version: OPERATOR_SET[form] }],
    graph: {
      node: writer.nodes,
      name: graph.name,
      initializer: writer.initializers,
      input: writer.infos(graph.inputs),
      output: writer.infos(graph.outputs),
    },
  });
}
