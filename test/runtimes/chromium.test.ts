import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bundle } from "../../bundle.ts";
import type { Digests } from "./cases.ts";
import { CHROMIUM, HOW_TO_INSTALL, serveFiles, startChromium } from "./chromium.ts";
import { digestsHere, packedCases } from "./given.ts";

const KERNELS = new URL("../../build/kernels.simd.wasm", import.meta.url);
const HTML =
  '<!doctype html><title>cases</title><link rel="icon" href="data:,"><script type="module" src="/cases.js"></script>';

describe("Chromium", () => {
  if (!CHROMIUM) it.skip(`computes to the bytes of Node (${HOW_TO_INSTALL})`, () => {});
  else
    it("computes every kernel, model and defense to the bytes of Node, making no code from text", async () => {
      const packed = await packedCases();
      const contents = `
        import { allDigests, unpack } from "./test/runtimes/cases.ts";
        const kernels = await WebAssembly.compileStreaming(fetch("/kernels.wasm"));
        globalThis.digests = allDigests(unpack(${JSON.stringify(packed)}, kernels));
      `;
      const { code } = await bundle({ contents }, { runtime: "browser" });
      const site = await serveFiles({
        "/": { type: "text/html", body: HTML },
        "/cases.js": { type: "text/javascript", body: code },
        "/kernels.wasm": { type: "application/wasm", body: readFileSync(KERNELS) },
      });
      const browser = await startChromium();
      try {
        const page = await browser.newPage();
        const complaints: string[] = [];
        page.on("console", (message) => complaints.push(message.text()));
        page.on("pageerror", (error) => complaints.push(error.message));
        await page.goto(site.url);
        const there = (await page.evaluate(
          "new Promise((done) => { const wait = () => globalThis.digests ? globalThis.digests.then(done) : setTimeout(wait, 20); wait(); })",
        )) as Digests;
        expect(complaints).toEqual([]);
        expect(there).toEqual(await digestsHere(packed));
      } finally {
        await browser.close();
        await site.stop();
      }
    });
});
