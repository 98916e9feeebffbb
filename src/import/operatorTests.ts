import { ModelFormatError } from "../errors.ts";
import * as z from "../zod.ts";
import { base64 } from "./modelVectors.ts";

/** "onnx-op-tests/1": models of one operator, with what ONNX itself expects or what runtimes computed. Other fields are ignored. */
const tensor = z.object({
  name: z.string(),
  dtype: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  base64,
});
const computed = z.union([
  z.array(tensor).min(1),
  z.object({ sameAs: z.string() }),
  z.object({ error: z.string() }),
]);

const schema = z.object({
  format: z.literal("onnx-op-tests/1"),
  tests: z.record(
    z.string(),
    z.object({
      /** Beside the tests, no path. */
      file: z.string().regex(/^[^/\\]+$/, "the name of a file"),
      inputs: z.array(tensor).optional(),
      expected: z.array(tensor).min(1).optional(),
      cases: z
        .array(z.object({ inputs: z.array(tensor), outputs: z.record(z.string(), computed) }))
        .optional(),
    }),
  ),
});

export type TestTensor = z.infer<typeof tensor>;
type Test = z.infer<typeof schema>["tests"][string];

/** Inputs, and the outputs of one runtime, or those that ONNX expects of all. */
export interface OperatorCase {
  inputs: TestTensor[];
  runtime: string | undefined;
  outputs: TestTensor[];
}
export interface OperatorTest {
  name: string;
  file: string;
  cases: OperatorCase[];
}

/** Checks parsed JSON. where: the file's name. @throws ModelFormatError naming the first field that is wrong. */
export function parseOperatorTests(json: unknown, where: string): OperatorTest[] {
  const parsed = schema.safeParse(json);
  if (parsed.success)
    return Object.entries(parsed.data.tests).map(([name, test]) => ({
      name,
      file: test.file,
      cases: casesOf(test),
    }));
  const issue = parsed.error.issues[0];
  throw new ModelFormatError(
    `${where}: ${issue.path.map(String).join(".")}`,
    "operator tests",
    issue.message,
  );
}

function casesOf({ inputs, expected, cases = [] }: Test): OperatorCase[] {
  const own = inputs && expected ? [{ inputs, runtime: undefined, outputs: expected }] : [];
  const others = cases.flatMap((one) =>
    Object.keys(one.outputs).flatMap((runtime) => {
      const outputs = outputsOf(one.outputs, runtime);
      return outputs ? [{ inputs: one.inputs, runtime, outputs }] : [];
    }),
  );
  return [...own, ...others];
}

/** sameAs followed; undefined for a runtime that failed. */
function outputsOf(outputs: NonNullable<Test["cases"]>[number]["outputs"], runtime: string) {
  const seen = new Set<string>();
  for (let name = runtime; Object.hasOwn(outputs, name) && !seen.has(name); ) {
    seen.add(name);
    const found = outputs[name];
    if (Array.isArray(found)) return found;
    if (!("sameAs" in found)) return undefined;
    name = found.sameAs;
  }
  return undefined;
}
