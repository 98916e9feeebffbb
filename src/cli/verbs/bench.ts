import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Command, Option } from "commander";
import manifest from "../../../package.json" with { type: "json" };
import { type BenchRow, met } from "../bench/row.ts";
import { SECTIONS } from "../bench/sections.ts";
import { columns } from "../columns.ts";
import { print } from "../io.ts";
import { ROOT } from "../package.ts";

/** Beside the project; where it is absent, networks of the same shapes with random weights are run. */
const MODELS = fileURLToPath(new URL("../shared/models", ROOT));
const MAX_OUTPUT = 1 << 24;

interface Options {
  section: string[];
  models: string;
  json?: boolean;
  output?: string;
}

export interface Report {
  machine: Record<string, string | number>;
  rows: BenchRow[];
}

export function add(program: Command): void {
  program
    .command("bench")
    .description("speed, memory and start on this machine, beside the peers that are installed")
    .addOption(
      new Option("--section <names...>", "run only these")
        .choices(Object.keys(SECTIONS))
        .default(Object.keys(SECTIONS), "all"),
    )
    .option("--models <directory>", "model files; random weights where a model is not there", MODELS)
    .option("-o, --output <file>", "write the rows as JSON")
    .option("--json", "machine-readable")
    .action(bench);
}

async function bench({ section, models, json, output }: Options): Promise<void> {
  const rows: BenchRow[] = [];
  const single = section.length === 1;
  for (const name of section) {
    if (!single) process.stderr.write(`${SECTIONS[name].title} …\n`);
    rows.push(...(single ? await SECTIONS[name].run(models) : await runApart(name, models)));
  }
  const report: Report = { machine: machine(), rows };
  if (output) await writeFile(output, `${JSON.stringify(report, null, 2)}\n`);
  print(json ? JSON.stringify(report, null, 2) : text(report));
}

/** This command again, for one section. */
async function runApart(section: string, models: string): Promise<BenchRow[]> {
  const command = [process.argv[1], "bench", "--section", section, "--models", models, "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, command, { maxBuffer: MAX_OUTPUT });
  return (JSON.parse(stdout) as Report).rows;
}

const machine = () => ({
  cpu: cpus()[0].model,
  threads: availableParallelism(),
  node: process.version,
  v8: process.versions.v8,
  blindspot: manifest.version,
});

function text({ machine, rows }: Report): string {
  const heading = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  const blocks = Map.groupBy(rows, (row) => row.section);
  const tables = [...blocks].map(([section, block]) => `${section}\n${table(block)}`);
  return [
    heading.join(", "),
    ...tables,
    "n: rounds; +-: between the quartiles; ratio: how many times the peer",
  ].join("\n\n");
}

const number = (value: number | undefined) => (value === undefined ? "" : String(value));
const plusMinus = (value: number | undefined) => (value === undefined ? "" : `+-${value}`);
const VERDICTS = { true: "met", false: "NOT MET", undefined: "" };

function table(rows: readonly BenchRow[]): string {
  const cells = rows.map((row) => {
    const { peer, target } = row;
    return [
      row.work,
      number(row.rounds),
      number(row.value),
      plusMinus(row.spread),
      row.unit,
      peer?.name ?? "",
      peer?.why ?? number(peer?.value),
      plusMinus(peer?.spread),
      number(row.ratio),
      target === undefined ? "" : `${row.atMost ? "<=" : ">="} ${target}`,
      VERDICTS[`${met(row)}`],
    ];
  });
  const titles = ["work", "n", "median", "", "unit", "peer", "median", "", "ratio", "asked", ""];
  return columns([titles, ...cells], [1, 2, 6, 8, 9]);
}
