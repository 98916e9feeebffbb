/** PyTorch on one thread as a peer of the float side, where Python has it. PYTHON: the interpreter, if not python3. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ROOT } from "../package.ts";

export interface PyTorch {
  version: string;
  /** Milliseconds of CPU time of one batch. work: one of WORKS in pytorch.py. */
  run(work: string): Promise<number>;
  close(): void;
}

/** Null where it does not start. */
export async function startPyTorch(): Promise<PyTorch | null> {
  const script = fileURLToPath(new URL("src/cli/bench/pytorch.py", ROOT));
  const child = spawn(process.env["PYTHON"] ?? "python3", [script], { stdio: ["pipe", "pipe", "ignore"] });
  child.on("error", () => child.stdout.destroy());
  const lines = child.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false });
  const answer = async () => String((await lines.next().catch(() => ({ value: "" }))).value ?? "").trim();
  const version = await answer();
  if (version === "") return null;
  return {
    version,
    run: async (work) => {
      child.stdin.write(`${work}\n`);
      return Number(await answer());
    },
    close: () => child.stdin.end(),
  };
}
