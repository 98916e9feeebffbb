/** The packed package, installed in an empty project with nothing but its declared dependencies. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const run = promisify(execFile);
export const tool = (name: string) => join(ROOT, "node_modules/.bin", name);

export interface Sandbox {
  directory: string;
  tarball: string;
  /** Of package.json as packed. */
  manifest: Record<"dependencies" | "peerDependencies", Record<string, string>>;
  remove(): Promise<void>;
}

/** Builds dist/ and packs. Links dependencies from this checkout, so that no network is needed. */
export async function packedProject(): Promise<Sandbox> {
  await run(process.execPath, ["build.mjs", "dist"], { cwd: ROOT });
  const directory = await mkdtemp(join(tmpdir(), "blindspot-package-"));
  const pack = ["pack", "--ignore-scripts", "--json", "--pack-destination", directory];
  const { stdout } = await run("npm", pack, { cwd: ROOT });
  const packed = JSON.parse(stdout);
  const tarball = join(directory, (packed[0] ?? Object.values(packed)[0]).filename);
  const modules = join(directory, "node_modules");
  const own = join(modules, "blindspot");
  await mkdir(own, { recursive: true });
  await run("tar", ["xzf", tarball, "-C", own, "--strip-components=1"]);
  const manifest = JSON.parse(await readFile(join(own, "package.json"), "utf8"));
  for (const name of [...Object.keys(manifest.dependencies), "@types/node"]) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(ROOT, "node_modules", name), join(modules, name));
  }
  await writeFile(join(directory, "package.json"), JSON.stringify({ name: "empty", type: "module" }));
  return { directory, tarball, manifest, remove: () => rm(directory, { recursive: true }) };
}
