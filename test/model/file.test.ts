import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ModelFormatError } from "../../src/errors.ts";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { readModel, type SavedModel, writeModel } from "../../src/model/file.ts";
import { quantizeStatic } from "../../src/quantize/ptq.ts";
import { activationQuantization } from "../../src/quantize/uniform.ts";
import { seededRandom } from "../../src/random.ts";

const float = ARCHITECTURES.cnn(3, {
  height: 8,
  width: 8,
  channels: 3,
  widthParam: 4,
  random: seededRandom(1),
});
const range = activationQuantization(-1, 1);
const MODELS: Record<string, SavedModel> = {
  float: { graph: float, meta: { spec: { seed: 1 } } },
  int8: {
    graph: quantizeStatic(foldBatchNorm(float), () => range, { weightBits: 8, granularity: "per-channel" }),
    meta: {},
  },
  int4: {
    graph: quantizeStatic(foldBatchNorm(float), () => range, { weightBits: 4, granularity: "per-channel" }),
    meta: {},
  },
};

describe("a saved model", () => {
  for (const [name, model] of Object.entries(MODELS)) {
    it(`${name}: is read back equal, and written again to the same bytes`, () => {
      const bytes = writeModel(model);
      const read = readModel(bytes, "x");
      expect(read.graph.tensors.map(({ data }) => data)).toEqual(model.graph.tensors.map(({ data }) => data));
      expect(read.graph.nodes).toEqual(model.graph.nodes);
      expect(writeModel(read)).toEqual(bytes);
    });

    it(`${name}: is read from a buffer that is part of a larger one`, () => {
      const bytes = Buffer.concat([Buffer.alloc(13), writeModel(model)]).subarray(13);
      expect(writeModel(readModel(bytes, "x"))).toEqual(writeModel(model));
    });
  }

  const bytes = writeModel(MODELS.int8);

  it("is refused wherever it is cut off", () => {
    for (let length = 0; length < bytes.length; length += 97)
      expect(() => readModel(bytes.subarray(0, length), "x.blindspot")).toThrow(ModelFormatError);
  });

  it("is refused, or read as a valid graph, whatever byte is changed", () =>
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const changed = bytes.slice();
        changed[at] = value;
        try {
          readModel(changed, "x.blindspot");
        } catch (error) {
          expect(error).toBeInstanceOf(ModelFormatError);
          expect((error as Error).message).not.toContain("\n");
        }
      }),
      { numRuns: 2000, seed: 1 },
    ));

  it("with a weight that is not a number is refused by tensor and index", () => {
    const graph = { ...float, tensors: float.tensors.map((tensor) => ({ ...tensor })) };
    const at = graph.tensors.findIndex(({ data }) => data instanceof Float32Array);
    const data = (graph.tensors[at].data as Float32Array).slice();
    data[5] = NaN;
    graph.tensors[at].data = data;
    expect(() => readModel(writeModel({ graph, meta: {} }), "x.blindspot")).toThrow(
      `${graph.tensors[at].name}[5]: expected a finite weight, got NaN`,
    );
  });
});
