import { lowerBound, upperBound } from "./activation";
import { Correlation, correlate4, correlate8 } from "./correlate";
import { FilterGradient, filterGradient } from "./filterGradient";
import { copyIntoFrame } from "./frame";
import { transformFilters, Winograd, winograd, winogradFilterGradient, winogradScratch } from "./winograd";

/** The fields of CONV_2D_PARAMS in src/float/kernels.ts, in order. Filters are [height][width][input][output]. */
@unmanaged
class Conv2D {
  batches: i32;
  inputHeight: i32;
  inputWidth: i32;
  inputDepth: i32;
  filterHeight: i32;
  filterWidth: i32;
  outputHeight: i32;
  outputWidth: i32;
  outputDepth: i32;
  strideHeight: i32;
  strideWidth: i32;
  dilationHeight: i32;
  dilationWidth: i32;
  paddingTop: i32;
  paddingLeft: i32;
  activation: i32;
}

@inline
function panelOf(depth: i32): i32 {
  return depth <= 4 ? 4 : 8;
}

@inline
function roundUp(x: i32, step: i32): i32 {
  return ((x + step - 1) / step) * step;
}

/** Rows (columns) of the framed input that the windows of a forward pass touch, at least the input itself. */
@inline
function framed(input: i32, before: i32, filter: i32, output: i32, stride: i32, dilation: i32): i32 {
  return max(before + input, (output - 1) * stride + (filter - 1) * dilation + 1);
}

/** With dilation the gradient of the output is spread out by the stride; without, each phase is its own correlation. */
@inline
function spread(stride: i32, dilation: i32): i32 {
  return dilation > 1 ? stride : 1;
}

/** Halo before the framed output gradient. */
@inline
function gradientHalo(filter: i32, stride: i32, dilation: i32): i32 {
  return dilation > 1 ? (filter - 1) * dilation : (filter + stride - 1) / stride - 1;
}

@inline
function gradientFramed(input: i32, before: i32, filter: i32, output: i32, stride: i32, dilation: i32): i32 {
  const phases = dilation > 1 ? 1 : stride;
  const inside = (output - 1) * spread(stride, dilation) + 1;
  return gradientHalo(filter, stride, dilation) + max(inside, (input - 1 + before) / phases + 1);
}

const HEADER: usize = 256;

/** Bytes of scratch that any of the three passes needs. block: room for a parameter block. */
export function conv_2d_scratch(params: usize, block: usize): i32 {
  const p = changetype<Conv2D>(params);
  if (suitsWinograd(p)) {
    return max(winogradScratch(describeWinograd(p, block)), winogradScratch(describeWinogradGradient(p, block)));
  }
  const window = p.filterHeight * p.filterWidth;
  const packed = max(
    window * p.inputDepth * roundUp(p.outputDepth, panelOf(p.outputDepth)),
    window * p.outputDepth * roundUp(p.inputDepth, panelOf(p.inputDepth)),
  );
  const input =
    framed(p.inputHeight, p.paddingTop, p.filterHeight, p.outputHeight, p.strideHeight, p.dilationHeight) *
    framed(p.inputWidth, p.paddingLeft, p.filterWidth, p.outputWidth, p.strideWidth, p.dilationWidth);
  const gradient =
    gradientFramed(p.inputHeight, p.paddingTop, p.filterHeight, p.outputHeight, p.strideHeight, p.dilationHeight) *
    gradientFramed(p.inputWidth, p.paddingLeft, p.filterWidth, p.outputWidth, p.strideWidth, p.dilationWidth);
  const bias = roundUp(p.outputDepth, 8);
  return <i32>HEADER + (packed + bias + max(input * p.inputDepth, gradient * p.outputDepth)) * 4;
}

/** Decided by the shape of one image alone, so that an image's bytes do not depend on the batch. */
function suitsWinograd(p: Conv2D): bool {
  return (
    p.filterHeight == 3 && p.filterWidth == 3 && p.strideHeight == 1 && p.strideWidth == 1 &&
    p.dilationHeight == 1 && p.dilationWidth == 1 && p.paddingTop <= 2 && p.paddingLeft <= 2 &&
    p.inputDepth % 8 == 0 && p.outputDepth % 8 == 0 && p.outputHeight >= 4 && p.outputWidth >= 4
  );
}

function describeWinograd(p: Conv2D, scratch: usize): Winograd {
  const w = changetype<Winograd>(scratch);
  w.batches = p.batches;
  w.height = p.inputHeight;
  w.width = p.inputWidth;
  w.inputDepth = p.inputDepth;
  w.paddingTop = p.paddingTop;
  w.paddingLeft = p.paddingLeft;
  w.outputHeight = p.outputHeight;
  w.outputWidth = p.outputWidth;
  w.outputDepth = p.outputDepth;
  w.lower = lowerBound(p.activation);
  w.upper = upperBound(p.activation);
  w.scratch = scratch;
  return w;
}

/** The input gradient is the convolution of dy with the filter turned. */
function describeWinogradGradient(p: Conv2D, scratch: usize): Winograd {
  const w = changetype<Winograd>(scratch);
  w.batches = p.batches;
  w.height = p.outputHeight;
  w.width = p.outputWidth;
  w.inputDepth = p.outputDepth;
  w.paddingTop = 2 - p.paddingTop;
  w.paddingLeft = 2 - p.paddingLeft;
  w.outputHeight = p.inputHeight;
  w.outputWidth = p.inputWidth;
  w.outputDepth = p.inputDepth;
  w.lower = -Infinity;
  w.upper = Infinity;
  w.scratch = scratch;
  return w;
}

/** [window][output] to [output / panel][window][panel]. */
function packForward(filter: usize, packed: usize, window: i32, depth: i32, panel: i32): void {
  for (let o = 0; o < depth; o += panel) {
    const lanes = min(panel, depth - o);
    for (let k = 0; k < window; k++, packed += <usize>panel << 2) {
      const from = filter + (<usize>(k * depth + o) << 2);
      for (let lane = 0; lane < panel; lane++) {
        store<f32>(packed + (<usize>lane << 2), lane < lanes ? load<f32>(from + (<usize>lane << 2)) : 0);
      }
    }
  }
}

function correlate(c: Correlation): void {
  if (c.outputDepth <= 4) correlate4(c);
  else correlate8(c);
}

@inline
function describeForward(c: Correlation, p: Conv2D, frameWidth: i32): void {
  const pixel = <usize>p.inputDepth << 2;
  const rowBytes = <usize>frameWidth * pixel;
  c.inputRow = <usize>p.strideHeight * rowBytes;
  c.inputPixel = <usize>p.strideWidth * pixel;
  c.tapRow = <usize>p.dilationHeight * rowBytes;
  c.tapRows = p.filterHeight;
  c.tapStep = <usize>p.dilationWidth * pixel;
  c.taps = p.dilationWidth == 1 ? 1 : p.filterWidth;
  c.tapBytes = p.dilationWidth == 1 ? <usize>p.filterWidth * pixel : pixel;
  c.outputHeight = p.outputHeight;
  c.outputWidth = p.outputWidth;
  c.outputDepth = p.outputDepth;
  c.outputPixel = <usize>p.outputDepth << 2;
  c.outputRow = <usize>p.outputWidth * c.outputPixel;
}

/** y = activation(conv(x) + bias); bias 0 = none. x, y NHWC. */
export function conv_2d_f32(params: usize, x: usize, filter: usize, bias: usize, y: usize, scratch: usize): void {
  const p = changetype<Conv2D>(params);
  if (suitsWinograd(p)) {
    const w = describeWinograd(p, scratch);
    transformFilters(w, filter, false);
    winograd(w, x, bias, 0, y);
    return;
  }
  const c = changetype<Correlation>(scratch);
  const panel = panelOf(p.outputDepth);
  const padded = roundUp(p.outputDepth, panel);
  const window = p.filterHeight * p.filterWidth * p.inputDepth;
  const packedBias = scratch + HEADER;
  const packed = packedBias + (<usize>roundUp(p.outputDepth, 8) << 2);
  const frame = packed + (<usize>(window * padded) << 2);
  const frameHeight = framed(p.inputHeight, p.paddingTop, p.filterHeight, p.outputHeight, p.strideHeight, p.dilationHeight);
  const frameWidth = framed(p.inputWidth, p.paddingLeft, p.filterWidth, p.outputWidth, p.strideWidth, p.dilationWidth);
  const pixel = <usize>p.inputDepth << 2;
  const imageBytes = <usize>(p.inputHeight * p.inputWidth) * pixel;
  const isFramed = frameHeight != p.inputHeight || frameWidth != p.inputWidth;
  packForward(filter, packed, window, p.outputDepth, panel);
  if (bias) {
    memory.fill(packedBias, 0, <usize>padded << 2);
    memory.copy(packedBias, bias, <usize>p.outputDepth << 2);
  }
  describeForward(c, p, frameWidth);
  c.filter = packed;
  c.bias = bias ? packedBias : 0;
  c.addend = 0;
  c.lower = lowerBound(p.activation);
  c.upper = upperBound(p.activation);
  if (isFramed) memory.fill(frame, 0, <usize>(frameHeight * frameWidth) * pixel);
  for (let b = 0; b < p.batches; b++, x += imageBytes, y += <usize>p.outputHeight * c.outputRow) {
    if (isFramed) {
      copyIntoFrame(x, p.inputHeight, p.inputWidth, pixel, frame, frameWidth, p.paddingTop, p.paddingLeft, 1, 1);
    }
    c.input = isFramed ? frame : x;
    c.output = y;
    correlate(c);
  }
}

/** The filter's taps of one phase, turned by 180 degrees, input and output channels exchanged, in panels. */
function packPhase(
  p: Conv2D, filter: usize, packed: usize, panel: i32,
  firstY: i32, stepY: i32, rows: i32, firstX: i32, stepX: i32, columns: i32,
): void {
  const depth = p.inputDepth;
  for (let c = 0; c < depth; c += panel) {
    for (let j = rows - 1; j >= 0; j--) {
      for (let i = columns - 1; i >= 0; i--) {
        const tap = (firstY + j * stepY) * p.filterWidth + firstX + i * stepX;
        for (let o = 0; o < p.outputDepth; o++, packed += <usize>panel << 2) {
          for (let lane = 0; lane < panel; lane++) {
            const at = filter + (<usize>((tap * depth + c + lane) * p.outputDepth + o) << 2);
            store<f32>(packed + (<usize>lane << 2), c + lane < depth ? load<f32>(at) : 0);
          }
        }
      }
    }
  }
}

/** Describes phase (ry, rx) of the input gradient; the filter stays as it is. Returns where the first output pixel lies in an image. */
function describePhase(c: Correlation, p: Conv2D, ry: i32, rx: i32, frameWidth: i32): usize {
  const phasesY = p.dilationHeight > 1 ? 1 : p.strideHeight;
  const phasesX = p.dilationWidth > 1 ? 1 : p.strideWidth;
  const pixel = <usize>p.outputDepth << 2;
  const rows = max(0, (p.filterHeight - ry + phasesY - 1) / phasesY);
  const columns = max(0, (p.filterWidth - rx + phasesX - 1) / phasesX);
  const y0 = (ry - (p.paddingTop % phasesY) + phasesY) % phasesY;
  const x0 = (rx - (p.paddingLeft % phasesX) + phasesX) % phasesX;
  const isDense = p.dilationWidth == 1;
  c.tapRows = columns > 0 ? rows : 0;
  c.taps = isDense ? 1 : columns;
  c.tapBytes = isDense ? <usize>columns * pixel : pixel;
  c.outputHeight = (p.inputHeight - y0 + phasesY - 1) / phasesY;
  c.outputWidth = (p.inputWidth - x0 + phasesX - 1) / phasesX;
  const top = gradientHalo(p.filterHeight, p.strideHeight, p.dilationHeight);
  const left = gradientHalo(p.filterWidth, p.strideWidth, p.dilationWidth);
  const startY = (y0 + p.paddingTop - ry) / phasesY - (rows - 1) * p.dilationHeight + top;
  const startX = (x0 + p.paddingLeft - rx) / phasesX - (columns - 1) * p.dilationWidth + left;
  c.input += <usize>(startY * frameWidth + startX) * pixel;
  return <usize>(y0 * p.inputWidth + x0) * (<usize>p.inputDepth << 2);
}

/**
 * dx = gradient of the convolution to its input, plus addend (0 = none), from dy (the activation's clamp already applied).
 * Input pixels whose coordinate plus padding has one remainder by the stride share their taps: one dense correlation a phase.
 */
export function conv_2d_input_gradient_f32(
  params: usize, dy: usize, filter: usize, addend: usize, dx: usize, scratch: usize,
): void {
  const p = changetype<Conv2D>(params);
  if (suitsWinograd(p)) {
    const w = describeWinogradGradient(p, scratch);
    transformFilters(w, filter, true);
    winograd(w, dy, 0, addend, dx);
    return;
  }
  const c = changetype<Correlation>(scratch);
  const panel = panelOf(p.inputDepth);
  const padded = roundUp(p.inputDepth, panel);
  const packed = scratch + HEADER;
  const frame = packed + (<usize>(p.filterHeight * p.filterWidth * p.outputDepth * padded) << 2);
  const frameHeight = gradientFramed(p.inputHeight, p.paddingTop, p.filterHeight, p.outputHeight, p.strideHeight, p.dilationHeight);
  const frameWidth = gradientFramed(p.inputWidth, p.paddingLeft, p.filterWidth, p.outputWidth, p.strideWidth, p.dilationWidth);
  const isFramed = frameHeight != p.outputHeight || frameWidth != p.outputWidth;
  const pixel = <usize>p.outputDepth << 2;
  const dxPixel = <usize>p.inputDepth << 2;
  const dxRow = <usize>p.inputWidth * dxPixel;
  const phasesY = p.dilationHeight > 1 ? 1 : p.strideHeight;
  const phasesX = p.dilationWidth > 1 ? 1 : p.strideWidth;
  for (let ry = 0, to = packed; ry < phasesY; ry++) {
    for (let rx = 0; rx < phasesX; rx++) {
      const rows = max(0, (p.filterHeight - ry + phasesY - 1) / phasesY);
      const columns = max(0, (p.filterWidth - rx + phasesX - 1) / phasesX);
      packPhase(p, filter, to, panel, ry, phasesY, rows, rx, phasesX, columns);
      to += <usize>(rows * columns * p.outputDepth * padded) << 2;
    }
  }
  c.inputRow = <usize>frameWidth * pixel;
  c.inputPixel = pixel;
  c.tapRow = <usize>(p.dilationHeight * frameWidth) * pixel;
  c.tapStep = <usize>p.dilationWidth * pixel;
  c.bias = 0;
  c.outputDepth = p.inputDepth;
  c.outputRow = <usize>phasesY * dxRow;
  c.outputPixel = <usize>phasesX * dxPixel;
  c.lower = -Infinity;
  c.upper = Infinity;
  if (isFramed) memory.fill(frame, 0, <usize>(frameHeight * frameWidth) * pixel);
  for (let b = 0; b < p.batches; b++) {
    if (isFramed) {
      copyIntoFrame(
        dy, p.outputHeight, p.outputWidth, pixel, frame, frameWidth,
        gradientHalo(p.filterHeight, p.strideHeight, p.dilationHeight),
        gradientHalo(p.filterWidth, p.strideWidth, p.dilationWidth),
        spread(p.strideHeight, p.dilationHeight), spread(p.strideWidth, p.dilationWidth),
      );
    }
    c.filter = packed;
    for (let ry = 0; ry < phasesY; ry++) {
      for (let rx = 0; rx < phasesX; rx++) {
        c.input = isFramed ? frame : dy;
        const to = describePhase(c, p, ry, rx, frameWidth);
        c.output = dx + to;
        c.addend = addend ? addend + to : 0;
        correlate(c);
        c.filter += (<usize>(c.tapRows * c.taps) * c.tapBytes) * <usize>padded;
      }
    }
    dy += <usize>(p.outputHeight * p.outputWidth) * pixel;
    dx += <usize>p.inputHeight * dxRow;
    if (addend) addend += <usize>p.inputHeight * dxRow;
  }
}

/** dFilter = gradient of the convolution to its filter, summed over the batch. */
export function conv_2d_filter_gradient_f32(params: usize, x: usize, dy: usize, dFilter: usize, scratch: usize): void {
  const p = changetype<Conv2D>(params);
  if (suitsWinograd(p)) {
    winogradFilterGradient(describeWinograd(p, scratch), x, dy, dFilter);
    return;
  }
  const g = changetype<FilterGradient>(scratch);
  const frame = scratch + HEADER;
  const frameHeight = framed(p.inputHeight, p.paddingTop, p.filterHeight, p.outputHeight, p.strideHeight, p.dilationHeight);
  const frameWidth = framed(p.inputWidth, p.paddingLeft, p.filterWidth, p.outputWidth, p.strideWidth, p.dilationWidth);
  const pixel = <usize>p.inputDepth << 2;
  const imageBytes = <usize>(p.inputHeight * p.inputWidth) * pixel;
  const isFramed = frameHeight != p.inputHeight || frameWidth != p.inputWidth;
  memory.fill(dFilter, 0, <usize>(p.filterHeight * p.filterWidth * p.inputDepth * p.outputDepth) << 2);
  g.rowBytes = <usize>frameWidth * pixel;
  g.inputRow = <usize>p.strideHeight * g.rowBytes;
  g.inputPixel = <usize>p.strideWidth * pixel;
  g.tapRow = <usize>p.dilationHeight * g.rowBytes;
  g.tapRows = p.filterHeight;
  g.tapStep = <usize>p.dilationWidth * pixel;
  g.taps = p.dilationWidth == 1 ? 1 : p.filterWidth;
  g.run = p.dilationWidth == 1 ? p.filterWidth * p.inputDepth : p.inputDepth;
  g.outputHeight = p.outputHeight;
  g.outputWidth = p.outputWidth;
  g.outputDepth = p.outputDepth;
  g.gradient = dFilter;
  if (isFramed) memory.fill(frame, 0, <usize>(frameHeight * frameWidth) * pixel);
  const dyBytes = <usize>(p.outputHeight * p.outputWidth * p.outputDepth) << 2;
  for (let b = 0; b < p.batches; b++, x += imageBytes, dy += dyBytes) {
    if (isFramed) {
      copyIntoFrame(x, p.inputHeight, p.inputWidth, pixel, frame, frameWidth, p.paddingTop, p.paddingLeft, 1, 1);
    }
    g.input = isFramed ? frame : x;
    g.dy = dy;
    filterGradient(g);
  }
}
