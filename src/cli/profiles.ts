import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ProfileError } from "../errors.ts";
import { parseProfile } from "../profile/parse.ts";
import type { Profile } from "../profile/schema.ts";
import { readInput } from "./io.ts";
import { ROOT } from "./package.ts";

const SHIPPED = new URL("edge-profiles/", ROOT);

/** The profiles that come with Blindspot, by id. */
export async function shippedProfiles(): Promise<Map<string, Profile>> {
  const names = (await readdir(SHIPPED))
    .filter((name) => name.endsWith(".json") && name !== "profile.schema.json")
    .sort();
  const profiles = await Promise.all(names.map((name) => readProfile(fileURLToPath(new URL(name, SHIPPED)))));
  return new Map(profiles.map((profile) => [profile.id, profile]));
}

/** A profile from a file. */
export async function readProfile(path: string): Promise<Profile> {
  return parseProfile(new TextDecoder().decode(await readInput(path, "a device profile")), path);
}

/** By the id of a shipped profile, or by the path of a .json file. @throws ProfileError for neither. */
export async function findProfile(name: string): Promise<Profile> {
  if (name.endsWith(".json")) return readProfile(name);
  const shipped = await shippedProfiles();
  const profile = shipped.get(name);
  if (!profile)
    throw new ProfileError(
      `profile ${name}`,
      `${[...shipped.keys()].join(", ")} or the path of a .json file`,
      "neither",
    );
  return profile;
}
