import { inputsOf } from "../harness/inputs.ts";
import { digest } from "../harness/store.ts";
import { compile } from "../model/compile.ts";
import { elements } from "../model/graph.ts";
import { HttpError, json } from "./answer.ts";
import { type Limits, workOf } from "./limits.ts";
import { parseForm, runRequest } from "./requests.ts";
import { findProfile, type Model, readArray, readModelOf, type Site } from "./site.ts";

/** POST /run: a model's outputs under a profile, bit for bit, each with its sha256. */
export async function run(site: Site): Promise<Response> {
  const asked = parseForm(site.form, runRequest, ["input"]);
  const profile = findProfile(site, asked.profile);
  const model = await readModelOf(site, asked.model);
  const { graph, name, sha256 } = model;
  const arrays = await Promise.all(asked.input.map((file, i) => readArray(site, file, `input ${i}`)));
  const { values, count } = inputsOf(graph, arrays);
  checkSize(model, count, site.limits);
  site.done();
  const outputs = await site.engine.run((kernels) => compile(graph, profile, kernels).run(values, count));
  const described = outputs.map(async (data, i) => {
    const { name, shape, dtype } = graph.tensors[graph.outputs[i]];
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { name, shape: [count, ...shape.slice(1)], dtype, sha256: await digest(bytes), data: [...data] };
  });
  const answer = { model: { name, sha256 }, profile: profile.id, images: count };
  return json({ ...answer, outputs: await Promise.all(described) });
}

/** @throws HttpError 413 for more than one request may ask. */
function checkSize({ graph }: Model, count: number, limits: Limits): void {
  const most = Math.floor(limits.work / workOf(graph));
  if (count > most) throw new HttpError(413, `input: expected at most ${most} images of this model`);
  const values = graph.outputs.reduce((sum, id) => sum + elements(graph.tensors[id].shape.slice(1)), 0);
  if (count * values > limits.values)
    throw new HttpError(413, `input: expected at most ${limits.values} values in the outputs`);
}
