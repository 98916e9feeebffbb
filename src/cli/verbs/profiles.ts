import type { Command } from "commander";
import { type LatencyRow, latencyTable } from "../../model/latencyTable.ts";
import type { Profile } from "../../profile/schema.ts";
import { columns } from "../columns.ts";
import { print, tell } from "../io.ts";
import { findProfile, readProfile, shippedProfiles } from "../profiles.ts";

export function add(program: Command): void {
  const profiles = program.command("profiles").description("the devices: list, show, latency, validate");
  profiles
    .command("list", { isDefault: true })
    .description("every shipped profile, a line each")
    .option("--json", "machine-readable")
    .action(async ({ json }: { json?: boolean }) => {
      const all = [...(await shippedProfiles()).values()];
      print(json ? JSON.stringify(all.map(summary), null, 2) : table(all));
    });
  profiles
    .command("show")
    .description("one profile, with the source of every figure")
    .argument("<profile>", "an id or the path of a .json file")
    .option("--json", "the file as it is")
    .action(async (name: string, { json }: { json?: boolean }) => {
      const profile = await findProfile(name);
      print(json ? JSON.stringify(profile, null, 2) : details(profile));
    });
  profiles
    .command("latency")
    .description("estimates for the networks of MLPerf Tiny beside the published figures")
    .option("--json", "machine-readable")
    .action(async ({ json }: { json?: boolean }) => {
      const rows = latencyTable((await shippedProfiles()).values());
      print(json ? JSON.stringify(rows, null, 2) : latencyColumns(rows));
    });
  profiles
    .command("validate")
    .description("check profile files against the schema")
    .argument("<files...>")
    .action(async (files: string[]) => {
      for (const file of files) tell(`${file}: ${(await readProfile(file)).id} is valid`);
    });
}

function summary({ id, title, family, arithmetic, access }: Profile) {
  return { id, title, family, requantizer: arithmetic.ops.default.requantizer, access: access.level };
}

function table(profiles: Profile[]): string {
  const rows = profiles
    .map(summary)
    .map((row) => [row.id, row.family, row.requantizer, row.access, row.title]);
  return columns([["profile", "family", "rounding", "access", "device"], ...rows]);
}

/** ratio: estimated over published; the estimates are for CMSIS-NN, whatever the measured engine. */
function latencyColumns(rows: LatencyRow[]): string {
  const cell = (value: number | null, unit = "") => (value === null ? "-" : `${value}${unit}`);
  return columns([
    ["device", "network", "published", "estimated", "ratio", "measured with"],
    ...rows.map(({ device, network, publishedMs, estimatedMs, ratio, engine }) => [
      device,
      network,
      cell(publishedMs, " ms"),
      cell(estimatedMs, " ms"),
      cell(ratio),
      engine ?? "-",
    ]),
  ]);
}

/** Every leaf with its evidence: path, value, confidence, source. */
function details(profile: Profile): string {
  const rows = evidenced(profile as unknown as Record<string, unknown>, []);
  return `${profile.title}\n\n${columns([["field", "value", "known", "from"], ...rows])}\n\n${profile.access.level}: ${profile.access.why}`;
}

/** A value without evidence of its own, in one line. */
function plain(value: unknown): string {
  if (Array.isArray(value)) return value.join("/");
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value)
    .map(([key, inner]) => `${key} ${plain(inner)}`)
    .join(" ");
}

function evidenced(value: Record<string, unknown>, path: string[]): string[][] {
  if ("confidence" in value && "source" in value) {
    const { confidence, source, why, ...own } = value;
    const text = Object.entries(own).map(([key, inner]) =>
      key === "value" ? `${inner}` : `${key} ${plain(inner)}`,
    );
    return [[path.join("."), text.join(", "), String(confidence), String(source)]];
  }
  return Object.entries(value).flatMap(([key, inner]) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? evidenced(inner as Record<string, unknown>, [...path, key])
      : [],
  );
}
