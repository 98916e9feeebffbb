import type { AccessLevel, Subject } from "../defenses/defense.ts";
import type { Kernels } from "../kernels/module.ts";
import type { Graph } from "../model/graph.ts";
import type { Profile } from "../profile/schema.ts";
import { restrict } from "./access.ts";
import { forwardSubject } from "./forwardSubject.ts";

/** What is visible to one who only asks: the profile's level, but never more than logits. */
export function askedLevel({ access }: Pick<Profile, "access">): AccessLevel {
  return access.level < "A3" ? "A3" : access.level;
}

/** An image classifier as a profile computes it, that answers with scores and shows nothing else: what a defense has that asks a
 * device or a service. Its constants stay in the kernels' memory. @throws ModelFormatError, UnsupportedOpError. */
export function askedSubject(kernels: Kernels, graph: Graph, profile: Profile): Subject {
  const { subject } = forwardSubject(kernels, { graph, profile, name: `${graph.name} on ${profile.id}` });
  return restrict(subject, askedLevel(profile), profile.access.why);
}
