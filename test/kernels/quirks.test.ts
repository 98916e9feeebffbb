import { beforeAll, describe, expect, test } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import type { SoftmaxArgs, Values } from "../../src/kernels/args.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { OPS } from "../../src/kernels/ops.ts";
import { QUIRKS, type Quirk, type QuirkName, quirkStep } from "../../src/kernels/quirks.ts";
import { compile } from "../../src/model/compile.ts";
import type { Graph } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { describeShared, sharedJson } from "./shared.ts";

type Json = Record<string, unknown>;
interface Finding {
  name: string;
  kernel: string;
  params: Record<string, number & number[]>;
  input: string;
  input2?: string;
  weights: string | null;
  bias: string | null;
  multiplier: number[];
  shift: number[];
  outputs_by_build: Record<string, { status: number; output: number[] | string }>;
}

const DIRECTORY = "vectors/cmsis-nn-findings/";
/** Cases: the builds that have the defect, or all where the case is one that is right everywhere. */
const FINDINGS: Partial<Record<QuirkName, { file: string; builds: string[]; cases?: string[] }>> = {
  "cmsis-nn-d1": { file: "D1-conv1xn-mve", builds: ["cortex-m55"], cases: ["F001-valid-total_pad-1"] },
  "cmsis-nn-d2": { file: "D2-fc-per-channel-filter-offset-mve", builds: ["cortex-m55"] },
  "cmsis-nn-d5": {
    file: "D5-depthwise-s4-odd-channels",
    builds: ["cortex-m3", "cortex-m4", "cortex-m55", "x86-64"],
  },
  "cmsis-nn-d6": {
    file: "D6-softmax-512-uniform",
    builds: ["cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"],
  },
  "cmsis-nn-d7": { file: "D7-add-left-shift-below-16-dsp", builds: ["cortex-m4", "cortex-m7", "cortex-m33"] },
  "cmsis-nn-d10": { file: "D10-single-rounding-conv-s4-mve", builds: ["cortex-m55"] },
};

const bytes = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const int8 = (value: string | number[]) =>
  typeof value === "string" ? new Int8Array(bytes(value)) : Int8Array.from(value);

/** Arguments, operands and batches of a case, whatever its kernel. */
function decode({ params: p, kernel, ...rest }: Finding, rounding: string) {
  const own: Json = {
    requantizer: `tflite-${rounding}`,
    multiplier: rest.multiplier,
    shift: rest.shift,
    bias: rest.bias === null || rest.bias === undefined ? null : new Int32Array(bytes(rest.bias)),
    outputOffset: p.output_offset,
    activationMin: p.activation_min,
    activationMax: p.activation_max,
    inputOffset: p.input_offset,
    weightBits: kernel.includes("s4") ? 4 : 8,
    filter: rest.weights && new Int8Array(bytes(rest.weights)),
  };
  const operands = [int8(rest.input), ...(rest.input2 ? [int8(rest.input2)] : [])];
  if (kernel.includes("conv")) {
    const [batches, inputHeight, inputWidth, inputDepth] = p.input_shape_nhwc;
    const [, outputHeight, outputWidth, outputDepth] = p.output_shape_nhwc;
    const [, filterHeight, filterWidth] = p.filter_shape_ohwi ?? p.filter_shape_1hwc;
    const shape = { inputHeight, inputWidth, inputDepth, outputHeight, outputWidth, outputDepth };
    const steps = {
      strideHeight: p.stride_h,
      strideWidth: p.stride_w,
      padTop: p.pad_top,
      padLeft: p.pad_left,
    };
    const groups = { groups: p.groups, depthMultiplier: p.channel_multiplier };
    const dilation = { dilationHeight: p.dilation_h, dilationWidth: p.dilation_w };
    return {
      operands,
      batches,
      args: { ...own, ...shape, filterHeight, filterWidth, ...steps, ...groups, ...dilation },
    };
  }
  if (kernel.includes("fully")) {
    const depths = { inputDepth: p.input_features, outputDepth: p.output_features };
    return { operands, batches: p.batch, args: { ...own, ...depths, filterOffset: p.filter_offset } };
  }
  if (kernel.includes("softmax"))
    return {
      operands,
      batches: 1,
      args: {
        form: "fixed-point",
        rows: p.num_rows,
        rowSize: p.row_size,
        multiplier: p.mult,
        shift: p.shift,
        diffMin: p.diff_min,
      },
    };
  return {
    operands,
    batches: 1,
    args: {
      ...own,
      elements: p.length,
      input1Offset: p.input1_offset,
      input2Offset: p.input2_offset,
      leftShift: p.left_shift,
      input1Multiplier: p.input1_multiplier,
      input1Shift: p.input1_shift,
      input2Multiplier: p.input2_multiplier,
      input2Shift: p.input2_shift,
      outputMultiplier: p.output_multiplier,
      outputShift: p.output_shift,
    },
  };
}

describeShared("defects of CMSIS-NN", DIRECTORY, () => {
  for (const [name, { file, builds, cases }] of Object.entries(FINDINGS)) {
    const finding = sharedJson(`${DIRECTORY}${file}.json`) as { rounding: string; cases: Finding[] };
    const row = QUIRKS[name as QuirkName] as unknown as Quirk<"SOFTMAX">;
    for (const item of finding.cases.filter((one) => !cases || cases.includes(one.name)))
      test(`${name} gives the bytes of ${builds.join(", ")} in ${item.name}`, () => {
        const { args, operands, batches } = decode(item, finding.rounding);
        const output = row.reference(args as unknown as SoftmaxArgs, operands as Values[], batches);
        for (const build of builds) expect(output, build).toEqual(int8(item.outputs_by_build[build].output));
      });

    test(`${name} changes what the kernels give, and only where it applies`, () => {
      const changed = finding.cases.map((item) => {
        const { args, operands, batches } = decode(item, finding.rounding);
        const plain = (OPS[row.op] as unknown as Quirk<"SOFTMAX">).reference(
          args as never,
          operands,
          batches,
        );
        const applies = row.applies(args as unknown as SoftmaxArgs);
        const same = String(plain) === String(row.reference(args as never, operands, batches));
        if (!applies && name !== "cmsis-nn-d5" && name !== "cmsis-nn-d1") expect(same, item.name).toBe(true);
        return applies && !same;
      });
      expect(changed).toContain(true);
    });
  }
});

describe("a quirk of a profile", () => {
  let profile: Profile;
  beforeAll(async () => {
    profile = (await shippedProfiles()).get("stm32l4r5-cmsis-nn")!;
  });

  test("no shipped profile has one on", async () => {
    for (const { id, arithmetic } of (await shippedProfiles()).values())
      expect(arithmetic.quirks ?? [], id).toEqual([]);
  });

  test("turns -128 into -127 in a softmax of 512 equal logits", async () => {
    const scale = Float32Array.of(0.1);
    const graph: Graph = {
      name: "wide",
      tensors: [
        { name: "x", shape: [1, 512], dtype: "int8", quantization: { scale, zeroPoint: Int32Array.of(0) } },
        {
          name: "y",
          shape: [1, 512],
          dtype: "int8",
          quantization: { scale: Float32Array.of(1 / 256), zeroPoint: Int32Array.of(-128) },
        },
      ],
      nodes: [{ op: "SOFTMAX", name: "softmax", inputs: [0], outputs: [1], attributes: { beta: 1 } }],
      inputs: [0],
      outputs: [1],
    };
    const quirky = { ...profile, arithmetic: { ...profile.arithmetic, quirks: ["cmsis-nn-d6" as const] } };
    const run = async (device: Profile) => {
      const plan = compile(graph, device, await bindKernels(await loadKernelModule()));
      return new Set(plan.run([new Int8Array(1024).fill(5)], 2)[0]);
    };
    expect(await run(profile)).toEqual(new Set([-128]));
    expect(await run(quirky)).toEqual(new Set([-127]));
  });

  test("leaves the step alone where it does not apply", async () => {
    const kernels = await bindKernels(await loadKernelModule());
    const args: SoftmaxArgs = {
      form: "fixed-point",
      rows: 1,
      rowSize: 10,
      multiplier: 2 ** 30,
      shift: 20,
      diffMin: -200,
    };
    const plain = OPS.SOFTMAX.prepare(kernels, args);
    expect(quirkStep(["cmsis-nn-d6", "cmsis-nn-d1"], "SOFTMAX", kernels, args, plain)).toBeUndefined();
  });
});
