/** Devices that run the same integers, layer by layer. */

import type { AuditResult } from "../harness/audit/gate.ts";
import type { AuditLab } from "../harness/audit/inputs.ts";
import { shippedTo } from "../harness/audit/models.ts";
import { type Comparison, compareProfiles } from "../harness/compare.ts";
import { firstImages } from "../harness/lab.ts";
import { activationArray } from "../model/compile.ts";
import type { Profile } from "../profile/schema.ts";

/** Enough to see where devices part. */
const IMAGES = 1000;

/** One for each model that two or more of the devices run. */
export async function comparisonsOf(lab: AuditLab, { devices }: AuditResult): Promise<Comparison[]> {
  const groups = Map.groupBy(
    devices.filter(({ deployed }) => deployed),
    ({ deployed }) => deployed!.sha256,
  );
  const comparisons: Comparison[] = [];
  for (const group of groups.values()) {
    const profiles = group.map(({ profile }) => lab.profiles.find(({ id }) => id === profile)!);
    if (profiles.length > 1) comparisons.push(await compared(lab, profiles));
  }
  return comparisons;
}

async function compared(lab: AuditLab, profiles: readonly Profile[]): Promise<Comparison> {
  const { graph, classifier } = await shippedTo(lab, profiles[0]);
  const { pixels, count, labels } = firstImages(lab.images.test, IMAGES);
  const values = activationArray(graph.tensors[graph.inputs[0]].dtype, pixels.length);
  for (let i = 0; i < values.length; i++) values[i] = classifier.values[pixels[i]];
  const inputs = `the first test images of ${lab.images.name}`;
  return compareProfiles({ graph, profiles, module: lab.kernels, values: [values], count, labels, inputs });
}
