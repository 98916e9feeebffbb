// FP32 kernels and their gradients, on the memory of tfjs's wasm backend. This module owns no byte of it: no static
// data, no allocator; every operand, parameter block and scratch area is a pointer that the caller got from tfjs.
export * from "./train/blend";
export * from "./train/convolution";
export * from "./train/depthwise";
export * from "./train/dense";
export * from "./train/elementwise";
export * from "./train/normalization";
export * from "./train/optimizer";
export * from "./train/pooling";
