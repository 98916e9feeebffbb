import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { slice } from "../../src/defenses/images.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { digest } from "../../src/harness/store.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { seededRandom } from "../../src/random.ts";
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
  const fields = (defense: string) => ({
    profile: PROFILE,
    model,
    defense,
    images: imagesNpy(signs.clean),
    labels: labelsNpy(signs.clean),
    suspects: imagesNpy(signs.triggered),
  });

  /** Asks until there is a result. */
  async function untilDone(worker: Worker, defense: string): Promise<{ requests: number; lines: Line[] }> {
    const lines: Line[] = [];
    for (let requests = 1; ; requests++) {
      const cursor = lines.at(-1)?.cursor;
      const response = await post(
        worker,
        "/defend",
        formOf({ ...fields(defense), ...(cursor && { cursor }) }),
      );
      expect(response.status).toBe(200);
      lines.push(...(await linesOf(response)));
      if (!lines.at(-1)?.cursor) return { requests, lines };
    }
  }

  for (const defense of ["strip", "neuralCleanse"])
    it(`${defense} gives one result however small the requests are, with its progress`, async () => {
      const [large, small] = [await startWorker(), await startWorker({ limits: { work: 5e9 } })];
      try {
        const whole = await untilDone(large, defense);
        const pieces = await untilDone(small, defense);
        expect(whole.lines.at(-1)?.result?.outcome).toMatchObject({ verdict: expect.any(String) });
        expect(pieces.lines.at(-1)).toEqual(whole.lines.at(-1));
        expect([whole.requests, pieces.requests > 1]).toEqual([1, true]);
        const answered = pieces.lines.flatMap(({ progress }) => (progress ? [progress.answered] : []));
        expect(answered).toEqual(answered.toSorted((a, b) => a - b));
        console.log(
          defense,
          pieces.requests,
          answered.at(-1),
          JSON.stringify(whole.lines.at(-1)).slice(0, 700),
        );
      } finally {
        await Promise.all([large.stop(), small.stop()]);
      }
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
