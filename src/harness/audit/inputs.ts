import type { ImageSet } from "../../data/dataset.ts";
import type { FloatBackend } from "../../float/backend.ts";
import type { Graph } from "../../model/graph.ts";
import type { Convention } from "../../model/imageInput.ts";
import type { Profile } from "../../profile/schema.ts";
import type { Store } from "../store.ts";
import type { AuditPreset } from "./presets.ts";

/** A model file. */
export interface AuditModel {
  /** The file's name, for messages and reports. */
  name: string;
  graph: Graph;
  /** Of the file. */
  sha256: string;
}

/** The images of an audit. `clean` is the defender's and calibrates, `test` measures; neither holds a trigger. */
export interface AuditImages {
  name: string;
  classNames: string[];
  clean: ImageSet;
  test: ImageSet;
  /** The training set as it was delivered, poison included if there is any; null where it is not given. */
  training: ImageSet | null;
  caveat: string;
}

/** Everything that an audit works on; plain data but for the modules, so that threads can share it. */
export interface AuditInputs {
  kernels: WebAssembly.Module;
  /** As it will ship: integers, or a float model that is quantized for each profile. */
  model: AuditModel;
  /** What the integer model was made of; null where there is none. For a float model: null, it is its own twin. */
  float: AuditModel | null;
  images: AuditImages;
  profiles: Profile[];
  preset: AuditPreset;
  seed: number;
  /** What the model takes a pixel for, where its input scale does not tell. */
  taken: Convention | null;
  /** Of weights, where a float model is quantized here. */
  weightBits: 8 | 4;
  /** Digest of the images, the kernels and our version: with the models, all that decides a step's result. */
  engine: string;
}

/** With what the platform gives. */
export interface AuditLab extends AuditInputs {
  backend: FloatBackend;
  store: Store;
}
