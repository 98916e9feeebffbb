import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findProfile, shippedProfiles } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { slice } from "../../src/defenses/images.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { digest } from "../../src/harness/store.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { seededRandom } from "../../src/random.ts";
import { createHandler } from "../../src/worker/index.ts";
import { quantizedSigns, type Signs } from "../runtimes/signs.ts";
import { codesNpy, formOf, imagesNpy, type Line, labelsNpy, linesOf, startWorker } from "./client.ts";
import { MALFORMED } from "./malformed.ts";
import { send } from "./send.ts";

type Worker = Awaited<ReturnType<typeof startWorker>>;
const PROFILE = "stm32l4r5-cmsis-nn";

let signs: Signs;
let model: Uint8Array;
beforeAll(async () => {
  signs = await quantizedSigns();
  model = exportTflite(signs.graph);
});

const post = (worker: Worker, path: string, body: FormData, headers: Record<string, string> = {}) =>
  fetch(new URL(path, worker.url), { method: "POST", body, headers });

describe("the Worker", () => {
  let worker: Worker;
  beforeAll(async () => {
    worker = await startWorker();
    await worker.store("signs.tflite", model);
  });
  afterAll(() => worker?.stop());

  it("lists the profiles", async () => {
    const response = await fetch(new URL("/profiles", worker.url));
    const listed = (await response.json()) as { id: string; access: { level: string } }[];
    expect(listed.find(({ id }) => id === PROFILE)?.access.level).toBe("A4");
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });

  for (const [where, given] of [
    ["the request", () => model],
    ["the bucket", () => "signs.tflite"],
  ] as const)
    it(`runs a model from ${where} to the same bytes as here`, async () => {
      const images = slice(signs.clean, 0, 10);
      const form = formOf({ profile: PROFILE, model: given(), input: codesNpy(images) });
      const response = await post(worker, "/run", form);
      const answer = (await response.json()) as {
        outputs: { shape: number[]; sha256: string; data: number[] }[];
      };
      const plan = compile(
        signs.graph,
        await findProfile(PROFILE),
        await bindKernels(await loadKernelModule()),
      );
      const [expected] = plan.run([Int8Array.from(images.pixels, (p) => p - 128)], images.count);
      expect(response.status).toBe(200);
      expect(answer.outputs[0].shape).toEqual([10, 43]);
      expect(answer.outputs[0].data).toEqual([...expected]);
      expect(answer.outputs[0].sha256).toBe(await digest(new Uint8Array(expected.buffer)));
    });
});

describe("a defense in a Worker", () => {
  let worker: Worker;
  let here: (request: Request) => Promise<Response>;
  beforeAll(async () => {
    worker = await startWorker({ limits: { work: 5e9 } });
    const profiles = [...(await shippedProfiles()).values()];
    const handler = createHandler({ kernels: await loadKernelModule(), profiles });
    here = (request) => handler(request, {});
  });
  afterAll(() => worker?.stop());

  const fields = () => ({
    ...{ profile: PROFILE, model, defense: "strip" },
    images: imagesNpy(signs.clean),
    labels: labelsNpy(signs.clean),
    suspects: imagesNpy(signs.triggered),
  });
  const there = (form: FormData) => post(worker, "/defend", form);
  const whole = async (form: FormData) =>
    linesOf(await here(new Request("http://here/defend", { method: "POST", body: form })));

  it("gives in several small requests the result that one large one gives, with its progress", async () => {
    const lines: Line[] = [];
    let requests = 0;
    do {
      const { cursor } = lines.at(-1) ?? {};
      const response = await there(formOf({ ...fields(), ...(cursor && { cursor }) }));
      expect(response.status).toBe(200);
      lines.push(...(await linesOf(response)));
      requests++;
    } while (lines.at(-1)?.cursor);
    const [result] = (await whole(formOf(fields()))).slice(-1);
    expect(result.result?.outcome).toMatchObject({ verdict: expect.stringMatching(/detected/) });
    expect(lines.at(-1)).toEqual(result);
    expect(requests).toBeGreaterThan(1);
    const answered = lines.flatMap(({ progress }) => (progress ? [progress.answered] : []));
    expect(answered.length).toBeGreaterThan(requests);
    expect(answered).toEqual(answered.toSorted((a, b) => a - b));
  });

  it("takes a cursor for the request that gave it and for no other", async () => {
    const [{ cursor }] = (await linesOf(await there(formOf(fields())))).slice(-1);
    const other = await there(formOf({ ...fields(), seed: "2", cursor: cursor! }));
    expect([other.status, await other.text()]).toEqual([
      400,
      expect.stringContaining("for the same request"),
    ]);
  });

  it("is not runnable where it would need more than answers, and says why", async () => {
    const [line] = (await linesOf(await there(formOf({ ...fields(), defense: "finePruning" })))).slice(-1);
    expect(line.result?.outcome).toMatchObject({
      verdict: "not runnable",
      reason: expect.stringContaining("A4"),
    });
  });
});

describe("a bad request to a Worker", () => {
  const token = "correct horse";
  let worker: Worker;
  beforeAll(async () => {
    worker = await startWorker({ token, limits: { bodyMilliseconds: 1000 } });
  });
  afterAll(() => worker?.stop());

  for (const { name, status, message } of MALFORMED)
    it(`of ${name} is a ${status} with one line of JSON, and the next good one is served`, async () => {
      const material = { model, signs, token };
      const reply = await send(worker.url, await message(material, seededRandom(1)));
      expect([reply.status, reply.text]).toEqual([status, expect.stringMatching(/^\{"error":"[^\n]+"\}\n$/)]);
      expect(reply.type).toMatch(/^application\/json/);
      expect(reply.text).not.toMatch(/\/(tmp|work|home|src|root)|\.m?[jt]s\b|node_modules|:\d+:\d+/);
      const good = await fetch(new URL("/profiles", worker.url), {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(good.status).toBe(200);
      await good.arrayBuffer();
    });
});
