/** What a runtime of ONNX dumped and a Graph has no tensor for: what lies inside of a node that stands for several. */
import { ModelFormatError } from "../errors.ts";
import type { Graph } from "../model/graph.ts";
import { decodeBase64, inputBytes, type ModelVectors, sampleOf } from "./modelVectors.ts";
import { traceOnnx } from "./onnx/reference/evaluate.ts";
import { type ReferenceValue, referenceValue, typeNamed } from "./onnx/reference/value.ts";
import { Refusal } from "./onnx/refusal.ts";

export interface WithinReport {
  compared: number;
  differing: { tensor: string; at: number; expected: number; got: number }[];
  /** The operators that the reference has not, by name. */
  left: string[];
}

type Dump = ModelVectors["intermediates"][number]["tensors"][number];

/**
 * Compares each dumped tensor that the Graph has not with what the reference of its operator makes of the runtime's own inputs.
 * bytes: of the ONNX model. @throws ModelFormatError for a malformed dump or model.
 */
export function verifyWithin(
  bytes: Uint8Array,
  vectors: ModelVectors,
  graph: Graph,
  runtime: string,
): WithinReport {
  const known = new Set(graph.nodes.flatMap(({ outputs }) => outputs.map((id) => graph.tensors[id].name)));
  const report: WithinReport = { compared: 0, differing: [], left: [] };
  for (const dump of vectors.intermediates) {
    const { runtime: dumpedBy, tensors } = dump;
    if (dumpedBy !== runtime) continue;
    const inputs = inputsOf(vectors, sampleOf(vectors, dump, graph.name), graph.name);
    const dumps = new Map(
      tensors.map((tensor) => [
        tensor.tensorName,
        dumped(tensor, tensor.base64 ? decodeBase64(tensor.base64) : null, graph.name),
      ]),
    );
    const made = traceOnnx(bytes, (name) => dumps.get(name) ?? inputs.get(name) ?? undefined, graph.name);
    for (const { tensorName, producedBy } of tensors) {
      if (known.has(tensorName)) continue;
      const [expected, got] = [dumps.get(tensorName), made.get(tensorName)];
      if (expected && got) compare(report, tensorName, expected, got);
      else report.left.push(producedBy ?? tensorName);
    }
  }
  return report;
}

/** A sample's inputs, by the names of the model's. */
function inputsOf(vectors: ModelVectors, sample: number, where: string): Map<string, ReferenceValue | null> {
  return new Map(
    vectors.inputs[sample].tensors.map(({ tensor }, i) => {
      const { dtype, shape } = vectors.model.inputs[i] ?? {};
      const value = dumped({ tensorName: tensor, dtype, shape }, inputBytes(vectors, sample, i), where);
      return [tensor, value] as const;
    }),
  );
}

/** Null for a type that the reference has not, or a dump without its bytes. */
function dumped(
  { tensorName, dtype, shape }: Pick<Dump, "tensorName" | "dtype" | "shape">,
  bytes: Uint8Array | null,
  where: string,
): ReferenceValue | null {
  if (!bytes || !dtype || !shape) return null;
  try {
    return referenceValue(typeNamed(dtype, tensorName), shape, bytes, `${where}: ${tensorName}`);
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

function compare(report: WithinReport, tensor: string, expected: ReferenceValue, got: ReferenceValue): void {
  if (expected.type !== got.type || expected.data.length !== got.data.length)
    throw new ModelFormatError(
      tensor,
      `${got.data.length} values of ${got.type}, as its operator makes`,
      `${expected.data.length} of ${expected.type}`,
    );
  report.compared++;
  const at = expected.data.findIndex((value, i) => !Object.is(value, got.data[i]));
  if (at >= 0) report.differing.push({ tensor, at, expected: expected.data[at], got: got.data[at] });
}
