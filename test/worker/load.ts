/** The Worker under load: good requests from many connections, every answer compared with this process's own, then bad ones.
 * node test/worker/load.ts [good requests] [connections] [bad requests]   (after npm run build) */
import { execFileSync } from "node:child_process";
import { Agent } from "node:http";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { slice } from "../../src/defenses/images.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { seededRandom } from "../../src/random.ts";
import { createHandler } from "../../src/worker/index.ts";
import { quantizedSigns } from "../runtimes/signs.ts";
import { codesNpy, imagesNpy, labelsNpy, startWorker } from "./client.ts";
import { encoded, type Fields, MALFORMED, type Material, type Message } from "./malformed.ts";
import { send } from "./send.ts";

const TOKEN = "under load";
const PROFILES = ["stm32l4r5-cmsis-nn", "android-litert-xnnpack", "ethos-u65"];
/** Connections that send bad requests. */
const SPOILERS = 4;

export interface Load {
  good: number;
  connections: number;
  bad: number;
  say(line: string): void;
}

export interface Loaded {
  /** Good requests without an answer, and those whose answer is not the one that is right. */
  lost: number;
  wrong: number;
  /** Bad requests that were not refused as they must be, or after which a good one was not served. */
  misjudged: string[];
  /** Resident memory of workerd in MiB after every tenth of the good requests, and then of the bad ones. */
  residentMiB: (number | null)[];
}

interface Good {
  message: Message;
  /** The whole body of the right answer. */
  answer: string;
}

/** Of the workerd processes that this one started; null where ps does not tell. */
function residentMiB(): number | null {
  try {
    const lines = execFileSync("ps", ["--ppid", String(process.pid), "-o", "rss=,comm="], {
      encoding: "utf8",
    });
    const kilobytes = [...lines.matchAll(/(\d+) workerd/g)].map(([, rss]) => Number(rss));
    return Math.round(kilobytes.reduce((sum, rss) => sum + rss, 0) / 1024);
  } catch {
    return null;
  }
}

/** Models under three profiles in batches of three sizes, a defense, and the list of profiles; answered by this process. */
async function goodRequests({ model, signs }: Material): Promise<Good[]> {
  const profiles = [...(await shippedProfiles()).values()];
  const here = createHandler({ kernels: await loadKernelModule(), profiles, token: () => TOKEN });
  const forms: [path: string, fields: Fields][] = PROFILES.flatMap((profile) =>
    [1, 4, 16].map((count): [string, Fields] => {
      return ["/run", { profile, model, input: codesNpy(slice(signs.clean, count, 2 * count)) }];
    }),
  );
  const images = slice(signs.clean, 0, 24);
  const asked = { images: imagesNpy(images), labels: labelsNpy(images) };
  const suspects = imagesNpy(slice(signs.triggered, 0, 8));
  forms.push(["/defend", { profile: PROFILES[0], model, defense: "strip", ...asked, suspects }]);
  const authorization = `Bearer ${TOKEN}`;
  const messages: Message[] = [{ method: "GET", path: "/profiles", headers: { authorization } }];
  for (const [path, fields] of forms) {
    const { type, body } = await encoded(fields);
    messages.push({ method: "POST", path, headers: { "content-type": type, authorization }, body });
  }
  return Promise.all(
    messages.map(async (message) => {
      const { path, ...rest } = message;
      const request = new Request(`http://here${path}`, {
        ...rest,
        body: rest.body as Uint8Array<ArrayBuffer> | undefined,
      });
      const response = await here(request, {});
      const answer = await response.text();
      if (response.status !== 200) throw new Error(`${path}: ${answer}`);
      return { message, answer };
    }),
  );
}

const tenth = (count: number) => Math.max(1, Math.floor(count / 10));

export async function underLoad({ good, connections, bad, say }: Load): Promise<Loaded> {
  const signs = await quantizedSigns();
  const material = { model: exportTflite(signs.graph), signs, token: TOKEN };
  const requests = await goodRequests(material);
  const worker = await startWorker({ token: TOKEN, limits: { bodyMilliseconds: 3000 } });
  const result: Loaded = { lost: 0, wrong: 0, misjudged: [], residentMiB: [] };
  const random = seededRandom(1);
  /** Whether one good request is served, on a connection. */
  const serve = async (agent: Agent | false): Promise<void> => {
    const { message, answer } = requests[random.below(requests.length)];
    const reply = await send(worker.url, message, agent).catch((error) => say(`lost: ${error.message}`));
    if (reply?.status !== 200) result.lost++;
    else if (reply.text !== answer) result.wrong++;
  };
  const repeat = async (
    count: number,
    workers: number,
    work: (agent: Agent, index: number) => Promise<void>,
  ) => {
    let begun = 0;
    const one = async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (begun < count) {
        const index = begun++;
        await work(agent, index);
        if ((index + 1) % tenth(count) === 0) result.residentMiB.push(residentMiB());
      }
      agent.destroy();
    };
    await Promise.all(Array.from({ length: workers }, one));
  };
  try {
    const start = performance.now();
    await repeat(good, connections, serve);
    const seconds = (performance.now() - start) / 1000;
    say(`${good} good requests from ${connections} connections in ${seconds.toFixed(1)} s`);
    await repeat(bad, SPOILERS, async (_, index) => {
      const row = MALFORMED[index % MALFORMED.length];
      const { status, text } = await send(worker.url, await row.message(material, random));
      if (status !== row.status || !/^\{"error":"[^\n]+"\}\n$/.test(text))
        result.misjudged.push(`${row.name}: ${status} ${text}`);
      await serve(false);
    });
    say(`${bad} bad requests, each followed by a good one`);
    say(`workerd held ${result.residentMiB.join(", ")} MiB`);
  } finally {
    await worker.stop();
  }
  return result;
}

if (import.meta.main) {
  const [good = 2000, connections = 16, bad = 500] = process.argv.slice(2).map(Number);
  const { lost, wrong, misjudged } = await underLoad({ good, connections, bad, say: console.log });
  console.log(`${lost} lost, ${wrong} wrong, ${misjudged.length} misjudged`);
  for (const line of misjudged) console.log(line);
  if (lost + wrong + misjudged.length > 0) process.exitCode = 1;
}
