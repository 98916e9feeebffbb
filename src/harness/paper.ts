import { CODED, runAsCoded } from "../defenses/asCoded.ts";
import type { Subject } from "../defenses/defense.ts";
import type { FloatBackend } from "../float/backend.ts";
import { observe, prepare } from "../float/execute.ts";
import { foldBatchNorm } from "../float/fold.ts";
import { classifierOf } from "../model/classifier.ts";
import type { Graph } from "../model/graph.ts";
import { dynamicLinear, paperFormula, paperInt4AsCoded } from "../quantize/paper.ts";
import { seededRandom } from "../random.ts";
import { modelName, trainedModel } from "./deploy.ts";
import type { ModelSpec } from "./experiment.ts";
import { denseTail, floatSubject } from "./floatSubject.ts";
import { firstImages, type Lab, type Progress, rememberedJson, stepName } from "./lab.ts";
import type { PaperRow } from "./result.ts";

/** One precision of the paper. */
interface PaperPrecision {
  id: string;
  /** The trained graph (batch norm not folded) with its weights as this precision has them. */
  weights(graph: Graph): Graph;
  /** What the last layer and the backward pass become; identity where they stay float. */
  wrap(subject: Subject, graph: Graph): Subject;
}

const unchanged = <T>(value: T) => value;

/** quantize_dynamic reaches the one Linear, and its backward pass gives nothing. */
function int8Dynamic(inner: Subject, graph: Graph): Subject {
  const tail = denseTail(graph, classifierOf(graph, graph.name).head!);
  const size = inner.height * inner.width * inner.channels;
  const scores: Subject["scores"] = (pixels, count) =>
    dynamicLinear(tail.filter, tail.bias, inner.features!(pixels, count));
  return {
    ...inner,
    scores,
    // Zero whatever the logits are: they are computed for who reads them.
    gradient: (pixels, count) => ({
      get logits() {
        return scores(pixels, count);
      },
      gradient: new Float32Array(count * size),
    }),
  };
}

/** As coded: the public code. Formula: Q_b of the paper's text on every filter. Activations are float in all of them. */
export const PAPER_PRECISIONS: readonly PaperPrecision[] = [
  { id: "fp32", weights: unchanged, wrap: unchanged },
  { id: "int8 dynamic, as coded", weights: unchanged, wrap: int8Dynamic },
  { id: "int4, as coded", weights: paperInt4AsCoded, wrap: unchanged },
  { id: "int8, formula", weights: (graph) => paperFormula(graph, 8), wrap: unchanged },
  { id: "int4, formula", weights: (graph) => paperFormula(graph, 4), wrap: unchanged },
];

function paperSubject({ backend }: Lab, trained: Graph, { id, weights, wrap }: PaperPrecision): Subject {
  const graph = weights(trained);
  const inner = floatSubject(backend, foldBatchNorm(graph), id);
  return { ...wrap(inner, graph), convolutionMeans: channelMeans(backend, graph) };
}

/** Mean |output| of every channel of every convolution and of the last dense layer, before batch norm and activation. */
function channelMeans(backend: FloatBackend, graph: Graph): NonNullable<Subject["convolutionMeans"]> {
  const layers = graph.nodes
    .filter(({ op }) => /CONV_2D|FULLY_CONNECTED/.test(op))
    .map(({ outputs }) => outputs[0]);
  const depth = new Map(layers.map((id) => [id, graph.tensors[id].shape.at(-1)!]));
  return (pixels, count) => {
    const sums = new Map(layers.map((id) => [id, new Float64Array(depth.get(id)!)]));
    const values = new Map(layers.map((id) => [id, 0]));
    const prepared = prepare(backend, graph);
    observe(prepared, pixels, count, layers, (tensors) => {
      for (const [id, tensor] of tensors) {
        const sum = sums.get(id)!;
        tensor.forEach((value, i) => {
          sum[i % sum.length] += Math.abs(value);
        });
        values.set(id, values.get(id)! + tensor.length / sum.length);
      }
    });
    prepared.dispose();
    return Float32Array.from(layers.flatMap((id) => [...sums.get(id)!].map((sum) => sum / values.get(id)!)));
  };
}

/** The paper's own five rules on one model in one of its precisions, by id. */
export async function paperRows(
  lab: Lab,
  model: ModelSpec,
  id: string,
  progress: Progress,
): Promise<PaperRow[]> {
  const precision = PAPER_PRECISIONS.find((row) => row.id === id);
  if (!precision) throw new RangeError(`precision of the paper: got ${id}`);
  const sizes = CODED[lab.preset.defenses];
  const inputs = { model: await modelName(lab, model), precision: id, sizes, engine: lab.engine };
  const name = await stepName("paper", "json", inputs);
  const findings = await rememberedJson(lab.store, name, async () => {
    const { graph } = await trainedModel(lab, model, () => {});
    const subject = paperSubject(lab, graph, precision);
    const test = firstImages(lab.dataset.test, sizes.batch * sizes.featureBatches);
    const found = runAsCoded(subject, test, sizes, seededRandom(model.seed).fork("paper"), progress);
    subject.dispose?.();
    return found;
  });
  return findings.map((finding) => ({ model: model.id, precision: id, ...finding }));
}
