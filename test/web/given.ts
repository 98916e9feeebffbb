/** A small model and a folder of pictures on disk, and the page built and served below a path of some server. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "fast-png";
import { pageHandler } from "../../src/cli/verbs/serve.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { writeModel } from "../../src/model/file.ts";
import { seededRandom } from "../../src/random.ts";
import { cnn } from "../cli/cnn.ts";

const SIDE = 16;
const CLASSES = ["left", "no entry", "right", "stop"];
const IMAGES_A_CLASS = 12;

export interface Folder {
  path: string;
  remove(): Promise<void>;
}

/** model.tflite and the float model that it was made of, images/CLASS/N.png, and what is no model and no picture. */
export async function givenFiles(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "blindspot-page-"));
  const write = async (name: string, data: Uint8Array | string) => {
    await mkdir(join(path, name, ".."), { recursive: true });
    await writeFile(join(path, name), data);
  };
  const { float, int8 } = cnn(SIDE, CLASSES.length);
  await write("model.tflite", exportTflite(int8));
  await write("float.blindspot", writeModel({ graph: float, meta: {} }));
  await write("text.tflite", "no model");
  const lax = { mustRun: false, failAbove: null, warnAbove: null };
  await write("lax.json", JSON.stringify({ defenses: { neuralCleanse: lax } }));
  await write("wrong.json", JSON.stringify({ defences: {} }));
  await write("broken/left/0.png", "no picture");
  await write("empty/left/notes.md", "nothing to see");
  const random = seededRandom(1);
  for (const name of CLASSES)
    for (let i = 0; i < IMAGES_A_CLASS; i++) {
      const data = Uint8Array.from({ length: SIDE * SIDE * 3 }, () => random.below(256));
      const png = encode({ width: SIDE, height: SIDE, channels: 3, depth: 8, data });
      await write(`images/${name}/${i}.png`, png);
    }
  return { path, remove: () => rm(path, { recursive: true }) };
}

export interface PageSite {
  /** With the final slash. */
  url: string;
  stop(): Promise<void>;
}

/** Builds the page in a folder of its own, so that a package that is built meanwhile does not take it away. */
export async function servedPage(below: string): Promise<PageSite> {
  const folder = await mkdtemp(join(tmpdir(), "blindspot-web-"));
  const { buildPage } = await import(new URL("../../page.mjs", import.meta.url).href);
  await buildPage(await profiles(), folder);
  const handle = pageHandler(folder);
  const server = createServer((request, response) => {
    const inside = request.url?.startsWith(below);
    request.url = inside ? `/${request.url!.slice(below.length)}` : "/nothing";
    handle(request, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${below}`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await rm(folder, { recursive: true });
    },
  };
}

async function profiles(): Promise<unknown[]> {
  const folder = new URL("../../edge-profiles/", import.meta.url);
  const names = (await readdir(folder)).filter((name) => name !== "profile.schema.json").sort();
  return Promise.all(names.map(async (name) => JSON.parse(await readFile(new URL(name, folder), "utf8"))));
}
