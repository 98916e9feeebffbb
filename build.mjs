// Compiles the AssemblyScript kernels into build/. Each row is one wasm module.
import { mkdir } from "node:fs/promises";
import asc from "assemblyscript/asc";

const MODULES = [
  { entry: "assembly/kernels.ts", target: "simd" },
  { entry: "assembly/kernels.ts", target: "scalar" },
  { entry: "assembly/train.ts", target: "train" },
];

await mkdir("build", { recursive: true });
for (const { entry, target } of MODULES) {
  const { error, stderr } = await asc.main([entry, "--config", "asconfig.json", "--target", target]);
  if (error) {
    console.error(`${stderr.toString()}${target}: ${error.message}`);
    process.exit(1);
  }
}
