import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blindspot } from "../cli/cnn.ts";
import { CHROMIUM, HOW_TO_INSTALL } from "../runtimes/chromium.ts";
import {
  accessibilityFaults,
  audited,
  chooseDevices,
  downloaded,
  drop,
  faultLine,
  finished,
  firstDifference,
  layoutShift,
  type Opened,
  open,
} from "./browser.ts";
import { type Folder, givenFiles, type PageSite, servedPage } from "./given.ts";

if (!CHROMIUM) describe.skip(`the page (${HOW_TO_INSTALL})`, () => it("is driven by a browser", () => {}));

describe.skipIf(!CHROMIUM)("the page", () => {
  let files: Folder;
  let site: PageSite;
  let opened: Opened;
  const given = (name: string) => join(files.path, name);
  const DEVICES = ["stm32l4r5-cmsis-nn", "litert-js"];

  beforeAll(async () => {
    [files, site] = [await givenFiles(), await servedPage("/some/where/")];
  });
  afterAll(async () => {
    await site?.stop();
    await files?.remove();
  });

  describe("given a model and a folder of pictures", () => {
    let verdict: string;
    beforeAll(async () => {
      opened = await open(site.url);
      await drop(opened.page, given("model.tflite"), given("images"));
      await opened.page.waitForSelector("#images-chosen b");
      await chooseDevices(opened.page, ...DEVICES);
      verdict = await audited(opened.page);
    });
    afterAll(() => opened?.close());

    it("answers whether the model may ship, in one sentence", () => {
      expect(verdict).toMatch(/^No\s+Do not ship it: a defense finds signs of a backdoor.*\.$/);
    });

    it("gives the Result and the report of the command line, byte for byte", async () => {
      const asked = ["audit", "model.tflite", "--data", "images", "--resize", "crop"];
      const wanted = ["-o", "result.json", "--html", "report.html"];
      const ran = await blindspot(files.path, ...asked, "--profile", ...DEVICES, ...wanted);
      expect(ran.code, ran.stderr).toBe(1);
      const result = await downloaded(opened.page, "#download-json");
      expect(firstDifference(result, await readFile(given("result.json")))).toBe(null);
      const report = await downloaded(opened.page, "#download-report");
      expect(firstDifference(report, await readFile(given("report.html")))).toBe(null);
    });

    it("shows accuracy on each device, scores, triggers, histograms and where the devices part", async () => {
      const { page } = opened;
      expect(await page.locator("#answers li").allInnerTexts()).toHaveLength(DEVICES.length);
      expect(await page.locator("#body .scores tbody").count()).toBe(DEVICES.length);
      expect(await page.locator("#body .trigger").count()).toBeGreaterThan(0);
      expect(await page.locator("#body figure svg.plot").count()).toBeGreaterThan(2);
      expect(await page.locator("#body").innerText()).toMatch(/Entropy|entropy/);
      expect(await page.locator(".layers svg rect").count()).toBeGreaterThan(5);
    });

    it("says it again when other devices are chosen, doing only what is new", async () => {
      const { page } = opened;
      await chooseDevices(page, DEVICES[1], "max78000");
      const again = await audited(page);
      expect(again).toMatch(/^No\s+Do not ship/);
      const { devices } = JSON.parse((await downloaded(page, "#download-json")).toString());
      expect(devices.map(({ profile }: { profile: string }) => profile)).toEqual(["max78000", "litert-js"]);
      expect(await page.locator("#answers li").allInnerTexts()).toHaveLength(2);
    });

    it("judges again by a policy that is dropped", async () => {
      const { page } = opened;
      await drop(page, given("wrong.json"));
      expect(await faultLine(page)).toBe(
        "wrong.json: expected only the fields of the schema, got unknown field defences",
      );
      await drop(page, given("lax.json"));
      await page.getByText("lax.json", { exact: true }).waitFor();
      await chooseDevices(page, ...DEVICES);
      expect(await audited(page)).toMatch(/^Yes\s+It may ship to 2 devices/);
    });

    it("asks no other server for anything, and could not", async () => {
      expect(opened.urls.filter((url) => !url.startsWith(site.url) && !url.startsWith("blob:"))).toEqual([]);
    });

    it("leaves no word in the console and moves nothing that stands", async () => {
      expect(opened.complaints).toEqual([]);
      const { total, shifts } = await layoutShift(opened.page);
      expect(total, JSON.stringify(shifts)).toBeLessThan(0.02);
    });
  });

  it("computes a float model and its gradients to the bytes of the command line", async () => {
    const { page, complaints, close } = await open(site.url);
    await drop(page, given("float.blindspot"), given("images"));
    await page.locator("#images-chosen b").waitFor();
    await chooseDevices(page, "litert-js");
    await audited(page);
    const asked = ["audit", "float.blindspot", "--data", "images", "--resize", "crop"];
    await blindspot(files.path, ...asked, "--profile", "litert-js", "-o", "float.json");
    const result = await downloaded(page, "#download-json");
    expect(firstDifference(result, await readFile(given("float.json")))).toBe(null);
    const { cells } = JSON.parse(result.toString());
    const ran = cells.filter(({ score }: { score: number | null }) => score !== null);
    expect(new Set(ran.map(({ arm }: { arm: string }) => arm))).toEqual(new Set(["FF", "QF", "FR", "QR"]));
    expect(complaints).toEqual([]);
    await close();
  });

  it("forbids itself and its worker to reach another server", async () => {
    let asked = 0;
    const elsewhere = createServer((_, response) => {
      asked++;
      response.writeHead(200, { "access-control-allow-origin": "*" }).end();
    });
    await new Promise<void>((done) => elsewhere.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`;
    const { page, close } = await open(site.url);
    const attempt = `fetch("${url}").then(() => "reached", () => "refused")`;
    const worker = `new Promise((done) => {
      const source = new Blob([${JSON.stringify(`${attempt}.then(postMessage)`)}], { type: "text/javascript" });
      new Worker(URL.createObjectURL(source), { type: "module" }).onmessage = ({ data }) => done(data);
    })`;
    expect([await page.evaluate(attempt), await page.evaluate(worker), asked]).toEqual([
      "refused",
      "refused",
      0,
    ]);
    await close();
    await new Promise((done) => elsewhere.close(done));
  });

  it("names what is wrong with what was dropped, in one line, and keeps what was there", async () => {
    const { page, complaints, close } = await open(site.url);
    await drop(page, given("text.tflite"));
    expect(await faultLine(page)).toBe('text.tflite: offset 4: expected a TFLite model ("TFL3"), got "odel"');
    await drop(page, given("model.tflite"), given("images"));
    await page.waitForSelector("#images-chosen b");
    const kept = await page.locator(".chosen").allInnerTexts();
    await drop(page, given("empty"));
    expect(await faultLine(page)).toMatch(/^empty: expected a folder of pictures .* got no picture$/);
    await drop(page, given("text.tflite"));
    await page.locator("#fault-line", { hasText: /^text/ }).waitFor();
    expect(await page.locator(".chosen").allInnerTexts()).toEqual(kept);
    await drop(page, given("broken"));
    await page.getByText("broken", { exact: true }).waitFor();
    await page.click("#run");
    await page.waitForSelector("#verdict[data-state=failed]");
    expect(await page.innerText("#answer")).toMatch(
      /broken\/left\/0\.png: expected a picture .*, got something else$/,
    );
    expect(complaints).toEqual([]);
    await close();
  });

  it("takes files that are chosen as those that are dropped, and nothing while it runs", async () => {
    const { page, complaints, close } = await open(site.url);
    await page.setInputFiles("#model-file", given("model.tflite"));
    await page.getByText("model.tflite", { exact: true }).waitFor();
    await page.setInputFiles("#images-folder", given("images"));
    await page.getByText("images", { exact: true }).waitFor();
    expect(await page.locator(".chosen small").allInnerTexts()).toEqual([
      expect.stringMatching(/^integer · \d+ layers · 16 × 16 × 3, RGB · 4 classes$/),
      "48 pictures · 4 classes",
    ]);
    await page.click("#run");
    await drop(page, given("text.tflite"));
    expect(await faultLine(page)).toBe("An audit is running: wait for it, or cancel it");
    await finished(page);
    expect(complaints).toEqual([]);
    await close();
  });

  it("can be stopped in the middle of the shipped model, and used again", async () => {
    const { page, complaints, close } = await open(site.url);
    await page.click("#samples button");
    await page.waitForSelector("#answers li");
    expect(await page.innerText("#answers li")).toMatch(/^9\d\.\d% of 1,000 images right/);
    await page.click("#cancel");
    await page.waitForSelector("#verdict[data-state=cancelled]");
    await drop(page, given("model.tflite"), given("images"));
    await page.getByText("images", { exact: true }).waitFor();
    await chooseDevices(page, "litert-js");
    expect(await audited(page)).toMatch(/^No/);
    expect(complaints).toEqual([]);
    await close();
  });

  it("is worked by the keyboard alone", async () => {
    const { page, close } = await open(site.url);
    await drop(page, given("model.tflite"), given("images"));
    await page.waitForSelector("#images-chosen b");
    const focused = () =>
      page.evaluate("document.activeElement.id || document.activeElement.value") as Promise<string>;
    const reach = async (id: string) => {
      for (let i = 0; i < 60 && (await focused()) !== id; i++) await page.keyboard.press("Tab");
      expect(await focused()).toBe(id);
    };
    await reach("find");
    await page.keyboard.type("esp32 a4");
    expect(await page.textContent("#found")).toMatch(/^3 of \d+ shown, 2 chosen: /);
    await reach("esp32-s3-esp-nn");
    await page.keyboard.press("Space");
    expect(await page.textContent("#found")).toMatch(/^3 of \d+ shown, 3 chosen: /);
    await reach("run");
    await page.keyboard.press("Enter");
    expect(await focused()).toBe("verdict");
    await finished(page);
    await reach("download-json");
    await close();
  });

  for (const colorScheme of ["light", "dark"] as const)
    it(`has no serious accessibility fault before and after an audit, ${colorScheme}, on a phone's screen`, async () => {
      const { page, close } = await open(site.url, { colorScheme, viewport: { width: 360, height: 740 } });
      expect(await accessibilityFaults(page)).toEqual([]);
      await drop(page, given("model.tflite"), given("images"));
      await page.waitForSelector("#images-chosen b");
      await audited(page);
      const { total, shifts } = await layoutShift(page);
      expect(total, JSON.stringify(shifts)).toBeLessThan(0.02);
      for (const details of await page.locator("#body details").all())
        await details.evaluate("(element) => { element.open = true; }");
      expect(await accessibilityFaults(page)).toEqual([]);
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
      await close();
    });
});
