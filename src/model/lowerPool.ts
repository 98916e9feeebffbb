/** Lowerings of the pools and of MEAN. */
import type { MeanArgs, Step } from "../kernels/args.ts";
import { composeSteps } from "../kernels/compose.ts";
import type { Kernels } from "../kernels/module.ts";
import { OPS } from "../kernels/ops.ts";
import { meanRuns } from "../kernels/pool.ts";
import { profileFor } from "./delegate.ts";
import { meanScaling, preparePooledMean, prepareRoundedAverage } from "./families.ts";
import { type Activation, elements, type OpName, type Tensor } from "./graph.ts";
import { rescale } from "./rescale.ts";
import { first, type Lowering, only, outputArgs, type Site, sharesScale, unaryBytes } from "./site.ts";
import { windowArgs } from "./windows.ts";

const maxPool: Lowering<"MAX_POOL_2D"> = {
  refuse: (site) => first(unaryBytes(site), sharesScale(site)),
  lower: (site) => OPS.MAX_POOL_2D.prepare(site.kernels, poolArgs(site)),
};

function poolArgs(site: Site<"AVERAGE_POOL_2D" | "MAX_POOL_2D">) {
  const { attributes, output } = site;
  const { activationMin, activationMax } = outputArgs(attributes.activation, output);
  const window = windowArgs(attributes, site, attributes.filterHeight, attributes.filterWidth);
  return { ...window, activationMin, activationMax, inputOffset: output.dtype === "uint8" ? 128 : 0 };
}

/** Of another output scale: in one where the family rounds real values, else a QUANTIZE after it. */
const averagePool: Lowering<"AVERAGE_POOL_2D"> = {
  refuse: unaryBytes,
  lower: (site) => {
    const { kernels, profile } = site;
    const isWhole = profile.arithmetic.ops.AVERAGE_POOL_2D!.form === "dequantized";
    const args = poolArgs(site);
    if (isWhole && isOfPlane(args) && profile.arithmetic.ops.MEAN) return planeMean(site, args);
    if (isWhole || sharesScale(site) === "")
      return prepareRoundedAverage(site, args) ?? OPS.AVERAGE_POOL_2D.prepare(kernels, args);
    const attributes = { ...site.attributes, activation: "NONE" as const };
    return rescaledAfter(
      site,
      (pooled) => averagePool.lower({ ...site, attributes, output: pooled })!,
      site.attributes.activation,
    );
  },
};

type PoolArgs = ReturnType<typeof poolArgs>;
const isOfPlane = ({ inputHeight, inputWidth, filterHeight, filterWidth, padTop, padLeft }: PoolArgs) =>
  inputHeight === filterHeight && inputWidth === filterWidth && padTop === 0 && padLeft === 0;

/** Source: microsoft/onnxruntime 07d59c0, qlinear_pool.cc: a window of the whole plane is a QLinearGlobalAveragePool. */
function planeMean(site: Site<"AVERAGE_POOL_2D">, args: PoolArgs): Step {
  const { inputHeight, inputWidth, activationMin, activationMax } = args;
  return meanOverAny(site.kernels, {
    ...{ activationMin, activationMax },
    ...meanScaling(site, inputHeight * inputWidth),
    shape: site.inputs[0].shape.slice(1),
    axes: [0, 1],
  });
}

/** An average at the scale of its input, then a QUANTIZE to the output's. */
function rescaledAfter(site: Site, average: (output: Tensor) => Step, activation: Activation): Step {
  const pooled = { ...site.output, quantization: site.inputs[0].quantization };
  const rescaled = { ...site, attributes: {}, inputs: [pooled] } as unknown as Site<"RELU">;
  const conversion = { ...rescaled, profile: profileFor("QUANTIZE", rescaled) };
  const { inputBytes, outputBytes, ...rest } = average(pooled);
  return composeSteps(
    [
      { step: { inputBytes, outputBytes, ...rest }, input: "input", output: 0 },
      { step: rescale(activation).lower(conversion)!, input: 0, output: "output" },
    ],
    { inputBytes, outputBytes },
    [outputBytes],
  );
}

/** The kernel sums over two groups of neighbouring axes; others are brought together first: sums have no order. */
function meanOverAny(kernels: Kernels, args: MeanArgs): Step {
  const { shape, axes } = args;
  if (meanRuns(args).length <= 4) return OPS.MEAN.prepare(kernels, args);
  const kept = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const permutation = [...kept, ...axes];
  const transposed = permutation.map((axis) => shape[axis]);
  const last = axes.map((_, i) => kept.length + i);
  const bytes = elements(shape);
  return composeSteps(
    [
      {
        step: OPS.TRANSPOSE.prepare(kernels, { shape, permutation, elementBytes: 1 }),
        input: "input",
        output: 0,
      },
      {
        step: OPS.MEAN.prepare(kernels, { ...args, shape: transposed, axes: last }),
        input: 0,
        output: "output",
      },
    ],
    { inputBytes: bytes, outputBytes: bytes / elements(axes.map((axis) => shape[axis])) },
    [bytes],
  );
}

const mean: Lowering<"MEAN"> = {
  refuse: (site) =>
    first(
      unaryBytes(site),
      only(
        "axes: the batch cannot be reduced",
        site.attributes.axes.every((axis) => axis > 0),
      ),
    ),
  lower: (site) => {
    const {
      attributes,
      inputs: [x],
      output,
      kernels,
      profile,
    } = site;
    if (profile.arithmetic.ops.MEAN!.form === "average-pool")
      return sharesScale(site) === ""
        ? preparePooledMean(site)!
        : rescaledAfter(site, (pooled) => preparePooledMean({ ...site, output: pooled })!, "NONE");
    const count = elements(attributes.axes.map((axis) => x.shape[axis]));
    const args = {
      ...outputArgs("NONE", output),
      ...meanScaling(site, count),
      shape: x.shape.slice(1),
      axes: attributes.axes.map((axis) => axis - 1),
    };
    return meanOverAny(kernels, args);
  },
};

export const POOL = { AVERAGE_POOL_2D: averagePool, MAX_POOL_2D: maxPool, MEAN: mean } satisfies {
  [Op in OpName]?: Lowering<Op>;
};
