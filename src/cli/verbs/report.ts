import { extname } from "node:path";
import type { Command } from "commander";
import { REPORTS } from "../../report/index.ts";
import { parseResult } from "../../report/parse.ts";
import { readInput, tell, UsageError, writeOutput } from "../io.ts";

export function add(program: Command): void {
  program
    .command("report")
    .description("draw a Result")
    .argument("<result>", "a Result (.json)")
    .requiredOption("-o, --output <file>", `${Object.keys(REPORTS).join(" or ")}`)
    .action(async (path: string, { output }: { output: string }) => {
      const draw = REPORTS[extname(output) as keyof typeof REPORTS];
      if (!draw)
        throw new UsageError(
          `--output ${output}: expected a name ending in ${Object.keys(REPORTS).join(" or ")}`,
        );
      const result = parseResult(new TextDecoder().decode(await readInput(path, "a Result")), path);
      await writeOutput(output, draw(result));
      tell(`wrote ${output}`);
    });
}
