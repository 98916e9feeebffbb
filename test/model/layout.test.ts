import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile, type Values } from "../../src/model/compile.ts";
import type { DType, Graph, Node, Tensor } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";

const COUNT = 5;

function tensor(
  shape: number[],
  dtype: DType = "int8",
  zeroPoint = 0,
  data?: Int8Array | Uint8Array,
): Tensor {
  const quantization = { scale: Float32Array.of(1), zeroPoint: Int32Array.of(zeroPoint) };
  return { name: "t", shape, dtype, quantization, ...(data && { data }) };
}

/** inputs: those without data, in order; outputs: what the node makes. */
function graphOf(tensors: Tensor[], node: Omit<Node, "name">): Graph {
  const inputs = node.inputs.filter((id) => !tensors[id].data);
  return { name: "g", tensors, nodes: [{ ...node, name: "n" } as Node], inputs, outputs: node.outputs };
}

const ramp = (length: number) => Int8Array.from({ length }, (_, i) => ((i * 37) % 256) - 128);
const each = (values: Values, image: number, i: number) =>
  Array.from(values.slice(i * image, (i + 1) * image));

describe.each(BUILDS)("five images in chunks of two, in the %s build", (build) => {
  let profile: Profile;
  beforeAll(async () => {
    profile = await findProfile("stm32l4r5-cmsis-nn");
  });
  const run = async (graph: Graph, ...inputs: Values[]) =>
    compile(graph, profile, await bindKernels(await loadKernelModule(build)), { chunk: 2 }).run(
      inputs,
      COUNT,
    );

  it("SPLIT fills every output", async () => {
    const tensors = [tensor([1, 2, 6]), tensor([1, 2, 1]), tensor([1, 2, 3]), tensor([1, 2, 2])];
    const attributes = { axis: 2, sizes: [1, 3, 2] };
    const x = ramp(COUNT * 12);
    const parts = await run(
      graphOf(tensors, { op: "SPLIT", inputs: [0], outputs: [1, 2, 3], attributes }),
      x,
    );
    const rows = Array.from({ length: COUNT * 2 }, (_, row) =>
      parts.flatMap((part) => each(part, part.length / COUNT / 2, row)),
    );
    expect(rows.flat()).toEqual(Array.from(x));
  });

  it("CONCATENATION repeats a constant in every image", async () => {
    const constant = Int8Array.of(9, 8);
    const tensors = [tensor([1, 2, 3]), tensor([1, 2, 1], "int8", 0, constant), tensor([1, 2, 4])];
    const attributes = { axis: 2, activation: "NONE" } as const;
    const x = ramp(COUNT * 6);
    const graph = graphOf(tensors, { op: "CONCATENATION", inputs: [0, 1], outputs: [2], attributes });
    const [y] = await run(graph, x);
    for (let i = 0; i < COUNT; i++) {
      const [a, b, c, d, e, f] = each(x, 6, i);
      expect(each(y, 8, i)).toEqual([a, b, c, 9, d, e, f, 8]);
    }
  });

  for (const dtype of ["int8", "uint8"] as const)
    it(`ADD repeats a smaller ${dtype} activation of each image`, async () => {
      const zero = dtype === "uint8" ? 128 : 0;
      const tensors = [
        tensor([1, 2, 2, 3], dtype, zero),
        tensor([1, 1, 1, 3], dtype, zero),
        tensor([1, 2, 2, 3], dtype, zero),
      ];
      const typed = (values: Int8Array) =>
        dtype === "uint8" ? Uint8Array.from(values, (v) => v + 128) : values;
      const [a, b] = [ramp(COUNT * 12).map((v) => v >> 1), ramp(COUNT * 3).map((v) => v >> 1)];
      const graph = graphOf(tensors, {
        op: "ADD",
        inputs: [0, 1],
        outputs: [2],
        attributes: { activation: "NONE" },
      });
      const [y] = await run(graph, typed(a), typed(b));
      const expected = Array.from(a, (v, i) => v + b[Math.floor(i / 12) * 3 + (i % 3)] + zero);
      expect(Array.from(y)).toEqual(expected);
    });

  it("MEAN sums over axes that alternate", async () => {
    const shape = [1, 2, 2, 2, 2, 2];
    const tensors = [tensor(shape), tensor([1, 2, 2])];
    const attributes = { axes: [1, 3, 5], keepDims: false };
    const x = ramp(COUNT * 32).map((v) => (v >> 3) * 8);
    const [y] = await run(graphOf(tensors, { op: "MEAN", inputs: [0], outputs: [1], attributes }), x);
    const sums = new Array<number>(COUNT * 4).fill(0);
    x.forEach((v, i) => {
      sums[Math.floor(i / 32) * 4 + ((i >> 3) & 1) * 2 + ((i >> 1) & 1)] += v;
    });
    expect(Array.from(y)).toEqual(sums.map((sum) => sum / 8));
  });

  it("CAST keeps codes, and the low eight bits of int32", async () => {
    const attributes = {};
    const to = async (from: DType, dtype: DType, x: Values) =>
      Array.from(
        (
          await run(
            graphOf([tensor([1, 3], from), tensor([1, 3], dtype)], {
              op: "CAST",
              inputs: [0],
              outputs: [1],
              attributes,
            }),
            x,
          )
        )[0],
      );
    const codes = ramp(COUNT * 3);
    expect(await to("int8", "int32", codes)).toEqual(Array.from(codes));
    expect(await to("int8", "uint8", codes)).toEqual(Array.from(codes, (v) => v & 255));
    const wide = Int32Array.from(codes, (v) => v * 1001);
    expect(await to("int32", "int8", wide)).toEqual(Array.from(wide, (v) => (v << 24) >> 24));
    expect(await to("int32", "uint8", wide)).toEqual(Array.from(wide, (v) => v & 255));
  });
});
