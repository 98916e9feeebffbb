import { describe, expect, it } from "vitest";
import { EXPORTERS } from "../../src/export/index.ts";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { importModel } from "../../src/import/index.ts";
import { quantizeStatic } from "../../src/quantize/ptq.ts";
import { activationQuantization } from "../../src/quantize/uniform.ts";
import { seededRandom } from "../../src/random.ts";

describe.each(EXPORTERS)("$name", ({ extension, write }) => {
  it("is a format that is also read, by its extension", () => {
    const image = { height: 8, width: 8, channels: 3, widthParam: 2, random: seededRandom(3) };
    const float = foldBatchNorm(ARCHITECTURES.cnn(4, image));
    const range = () => activationQuantization(-1, 2);
    const graph = quantizeStatic(float, range, { weightBits: 8, granularity: "per-channel" });
    const again = importModel(write(graph), `model${extension}`);
    expect(again.nodes.map(({ op }) => op)).toEqual(graph.nodes.map(({ op }) => op));
    expect(write(graph)).toEqual(write(graph));
  });
});
