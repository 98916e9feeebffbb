import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pageHandler } from "../../src/cli/verbs/serve.ts";
import { blindspot } from "./cnn.ts";

interface Answer {
  status: number;
  headers: Record<string, unknown>;
  body: string;
}

describe("serve", () => {
  let root: string;
  let server: Server;

  beforeAll(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), "blindspot-serve-")));
    await mkdir(join(root, "web/chunks"), { recursive: true });
    await writeFile(join(root, "web/index.html"), "<h1>page</h1>");
    await writeFile(join(root, "web/chunks/a.js"), "a");
    await writeFile(join(root, "web/notes.secret"), "secret");
    await writeFile(join(root, "outside.html"), "secret");
    await symlink(join(root, "outside.html"), join(root, "web/link.html"));
    await mkdir(join(root, "webby"));
    await writeFile(join(root, "webby/index.html"), "secret");
    server = createServer(pageHandler(join(root, "web")));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  });
  afterAll(async () => {
    await new Promise((done) => server.close(done));
    await rm(root, { recursive: true });
  });

  /** The path as it is, which fetch would tidy. */
  const ask = (path: string, method = "GET") =>
    new Promise<Answer>((resolve, reject) => {
      const { port } = server.address() as AddressInfo;
      request({ host: "127.0.0.1", port, path, method }, (response) => {
        let body = "";
        response.on("data", (chunk) => {
          body += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body }));
      })
        .on("error", reject)
        .end();
    });

  it("gives the files of the folder with their types", async () => {
    const index = await ask("/?any=thing");
    expect([index.status, index.body, index.headers["content-type"]]).toEqual([
      200,
      "<h1>page</h1>",
      "text/html; charset=utf-8",
    ]);
    expect(index.headers["x-content-type-options"]).toBe("nosniff");
    expect((await ask("/chunks/a.js")).headers["content-type"]).toBe("text/javascript; charset=utf-8");
    expect(await ask("/chunks/a.js", "HEAD")).toMatchObject({ status: 200, body: "" });
  });

  for (const path of [
    "/../outside.html",
    "/%2e%2e/outside.html",
    "/..%2foutside.html",
    "/chunks/../../outside.html",
    "/../webby/",
    "/link.html",
    "//etc/passwd",
    "/%00",
    "/%",
    "/notes.secret",
    "/chunks",
    "/chunks/",
    "/nothing.html",
  ])
    it(`has nothing at ${path}`, async () => {
      const { status, body } = await ask(path);
      expect([status, body]).toEqual([404, "404\n"]);
    });

  it("takes nothing", async () => {
    expect(await ask("/", "POST")).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
  });

  it("says in one line that its port is in use", async () => {
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await blindspot(root, "serve", "--port", String(port));
    expect(code).toBe(2);
    expect(stderr).toMatch(/^blindspot: .*expected (a free port, got a port in use|the page, got none).*\n$/);
  });
});
