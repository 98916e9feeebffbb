import { extname } from "node:path";
import type { Command } from "commander";
import { drawn, REPORTS } from "../../report/index.ts";
import { parseAnyResult } from "../../report/parse.ts";
import { readInput, tell, UsageError, writeOutput } from "../io.ts";

export function add(program: Command): void {
  program
    .command("report")
    .description("draw a Result")
    .argument("<result>", "a Result (.json)")
    .requiredOption("-o, --output <file>", `${Object.keys(REPORTS).join(" or ")}`)
    .action(async (path: string, { output }: { output: string }) => {
      const report = REPORTS[extname(output)];
      if (!report)
        throw new UsageError(
          `--output ${output}: expected a name ending in ${Object.keys(REPORTS).join(" or ")}`,
        );
      const parsed = parseAnyResult(new TextDecoder().decode(await readInput(path, "a Result")), path);
      const text = drawn(report, parsed);
      if (text === null)
        throw new UsageError(
          `--output ${output}: ${path} is an ${parsed.kind}, of which there is no such report`,
        );
      await writeOutput(output, text);
      tell(`wrote ${output}`);
    });
}
