import { ModelFormatError, UnsupportedOpError } from "../errors.ts";
import type { Kernels } from "../kernels/module.ts";
import { activationArray, compile, type Values } from "../model/compile.ts";
import type { Graph } from "../model/graph.ts";
import type { Profile } from "../profile/schema.ts";
import { decodeBase64 } from "./modelVectors.ts";
import { type BoundTensor, bindInputs } from "./onnx/bind.ts";
import { importOnnx } from "./onnx/index.ts";
import { evaluateOnnx } from "./onnx/reference/evaluate.ts";
import { type ReferenceValue, range, referenceValue, typeNamed } from "./onnx/reference/value.ts";
import { Refusal } from "./onnx/refusal.ts";
import { DATA_TYPES, type DataTypeName } from "./onnx/schema.ts";
import type { OperatorCase, TestTensor } from "./operatorTests.ts";

/** What one case gave: the reference, and the kernels where a Graph has the operator in this form. */
export interface CaseResult {
  /** Outputs that differ, of those compared. */
  outputs: number;
  differing: { output: string; by: "reference" | "kernels"; at: number; expected: number; got: number }[];
  /** Why the kernels did not run; empty where they did. */
  notCompiled: string;
}

/**
 * Runs one case by the reference of its operators and, with all inputs but the first as constants, imported and compiled.
 * bytes: of the model. @throws UnsupportedOpError for an operator that neither has, or a type; ModelFormatError.
 */
export function verifyCase(
  bytes: Uint8Array,
  test: OperatorCase,
  { profile, kernels }: { profile: Profile; kernels: Kernels },
  where: string,
): CaseResult {
  const values = (tensors: readonly TestTensor[]) => tensors.map((tensor) => read(tensor, where));
  const expected = values(test.outputs);
  const inputs = new Map(values(test.inputs).map((value, i) => [test.inputs[i].name, value]));
  const result: CaseResult = { outputs: 0, differing: [], notCompiled: "" };
  const refused = refusalOf(() =>
    compare(result, test, expected, evaluateOnnx(bytes, inputs, where), "reference"),
  );
  // ONNX's own floats are numpy's, in whose order nothing here adds.
  if (refused && test.runtime === undefined && expected.some(({ type }) => !range(type))) throw refused;
  try {
    compare(result, test, expected, runCompiled(bytes, test, profile, kernels, where), "kernels");
  } catch (error) {
    if (refused) throw refused;
    if (!isRefusal(error)) throw error;
    result.notCompiled = error.message;
  }
  return result;
}

function refusalOf(run: () => void): UnsupportedOpError | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof UnsupportedOpError) return error;
    throw error;
  }
  return undefined;
}

/** A Graph of images cannot be every tensor; a kernel cannot walk every number of dimensions. */
const isRefusal = (error: unknown): error is Error =>
  error instanceof UnsupportedOpError || error instanceof ModelFormatError || error instanceof RangeError;

function read({ name, dtype, shape, base64 }: TestTensor, where: string): ReferenceValue {
  try {
    const type = typeNamed(dtype, name);
    return referenceValue(type, shape, decodeBase64(base64), `${where}: ${name}`);
  } catch (error) {
    if (error instanceof Refusal) throw new UnsupportedOpError(where, [error.message]);
    throw error;
  }
}

function compare(
  result: CaseResult,
  { outputs }: OperatorCase,
  expected: readonly ReferenceValue[],
  got: readonly { data: ArrayLike<number>; type: string }[],
  by: "reference" | "kernels",
): void {
  expected.forEach((want, i) => {
    result.outputs++;
    const have = got[i];
    const sameType = have?.type === want.type && have.data.length === want.data.length;
    const at = sameType ? want.data.findIndex((value, k) => !Object.is(value, have.data[k])) : 0;
    if (at < 0) return;
    const value = sameType ? have.data[at] : Number.NaN;
    result.differing.push({ output: outputs[i].name, by, at, expected: want.data[at], got: value });
  });
}

const ONNX_TYPES: Partial<Record<string, DataTypeName>> = Object.fromEntries(
  Object.keys(DATA_TYPES).map((name) => [name, name as DataTypeName]),
);

const bound = ({ name, dtype, shape, base64 }: TestTensor): BoundTensor => ({
  name,
  type: ONNX_TYPES[dtype]!,
  shape,
  bytes: decodeBase64(base64),
});

/** @throws UnsupportedOpError where a Graph has no place for the operator in this form. */
function runCompiled(
  bytes: Uint8Array,
  { inputs: [x, ...constants] }: OperatorCase,
  profile: Profile,
  kernels: Kernels,
  where: string,
): { data: ArrayLike<number>; type: string }[] {
  const graph = importOnnx(bindInputs(bytes, constants.map(bound), where), where);
  const mark = kernels.mark();
  try {
    const plan = compile(graph, profile, kernels);
    const outputs = plan.run([typed(graph, x, where)], graph.tensors[graph.inputs[0]].shape[0]);
    return outputs.map((data, i) => ({ data, type: graph.tensors[graph.outputs[i]].dtype }));
  } finally {
    kernels.release(mark);
  }
}

/** The first input in the type of the Graph's. */
function typed(graph: Graph, { dtype, base64 }: TestTensor, where: string): Values {
  const own = graph.tensors[graph.inputs[0]].dtype;
  if (own !== dtype) throw new UnsupportedOpError(where, [`a Graph has its ${dtype} input as ${own}`]);
  const bytes = decodeBase64(base64);
  const values = activationArray(own, Math.floor(bytes.length / activationArray(own, 1).byteLength));
  if (values.byteLength !== bytes.length)
    throw new ModelFormatError(where, `whole ${own} values`, `${bytes.length} bytes`);
  new Uint8Array(values.buffer).set(bytes);
  return values;
}
