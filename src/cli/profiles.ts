import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ProfileError } from "../errors.ts";
import type { Profile } from "../profile/schema.ts";
import { readInput } from "./io.ts";
import { ROOT } from "./package.ts";

const SHIPPED = new URL("edge-profiles/", ROOT);

/** The profiles that come with Blindspot, by id. */
export async function shippedProfiles(): Promise<Map<string, Profile>> {
  const profiles = await Promise.all((await shippedIds()).map(readShipped));
  return new Map(profiles.map((profile) => [profile.id, profile]));
}

/** Each shipped profile is in a file of its id. */
async function shippedIds(): Promise<string[]> {
  const names = (await readdir(SHIPPED)).filter(
    (name) => name.endsWith(".json") && name !== "profile.schema.json",
  );
  return names.map((name) => name.replace(/\.json$/, "")).sort();
}

/** As it is: a test holds what we ship to the schema, which takes as long to load as all else that `run` needs. */
async function readShipped(id: string): Promise<Profile> {
  const path = fileURLToPath(new URL(`${id}.json`, SHIPPED));
  return JSON.parse(new TextDecoder().decode(await readInput(path, "a device profile")));
}

/** A profile from a file. */
export async function readProfile(path: string): Promise<Profile> {
  const { parseProfile } = await import("../profile/parse.ts");
  return parseProfile(new TextDecoder().decode(await readInput(path, "a device profile")), path);
}

/** By the id of a shipped profile, or by the path of a .json file. @throws ProfileError for neither. */
export async function findProfile(name: string): Promise<Profile> {
  if (name.endsWith(".json")) return readProfile(name);
  // Only the one that is asked for: all of them take longer to read than most models to run.
  const ids = await shippedIds();
  if (!ids.includes(name))
    throw new ProfileError(
      `profile ${name}`,
      `${meant(name, ids)} of the ${ids.length} that \`blindspot profiles\` lists, or the path of a .json file`,
      "neither",
    );
  return readShipped(name);
}

/** The ids that share a word with what was asked for, first in the message. */
function meant(name: string, ids: readonly string[]): string {
  const words = name.toLowerCase().split(/[^a-z0-9]+/);
  const near = ids.filter((id) => words.some((word) => word.length > 2 && id.includes(word)));
  return near.length === 0 ? "one" : `${near.slice(0, 6).join(", ")} or another`;
}
