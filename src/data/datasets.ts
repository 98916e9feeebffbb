import { cifar10 } from "./cifar10.ts";
import { gtsrb } from "./gtsrb.ts";
import type { DatasetRow } from "./loading.ts";
import { signs } from "./signs.ts";

/** The data sets that `--dataset` names. */
export const DATASETS = { signs, gtsrb, cifar10 } satisfies Record<string, DatasetRow>;
