/** What the page and its worker say to each other; plain data. */
import type { AUDIT_PRESETS } from "../harness/audit/presets.ts";
import type { Share } from "../harness/result.ts";

export interface ModelFile {
  name: string;
  bytes: Uint8Array;
}

/** A file with its path below what was chosen or dropped. */
export interface NamedFile {
  path: string;
  file: File;
}

/** root: the folder that holds them all. */
export type ImageSource = { kind: "signs" } | { kind: "files"; root: string; files: NamedFile[] };

/** What a person wants to know of a model before it is run. */
export interface ModelSummary {
  name: string;
  kind: "integer" | "float";
  classes: number;
  height: number;
  width: number;
  channels: number;
  layers: number;
}

export interface ImageSummary {
  name: string;
  images: number;
  classes: number;
}

export interface AuditRequest {
  model: ModelFile;
  /** What an integer model was made of, where the user has it. */
  float: ModelFile | null;
  images: ImageSource;
  /** Profile ids. */
  profiles: string[];
  preset: keyof typeof AUDIT_PRESETS;
  seed: number;
  /** JSON by the name of its file; null: the default. */
  policy: { name: string; text: string } | null;
}

/** What is known of a device as soon as the model has run there. */
export interface DeviceAnswer {
  /** Null: the float twin. */
  profile: string | null;
  title: string;
  precision: string;
  /** Empty where it can run the model. */
  refused: string[];
  accuracy: Share | null;
}

export type AuditEvent =
  /** share: of the whole audit, 0..1. */
  | { kind: "progress"; title: string; share: number }
  | { kind: "device"; answer: DeviceAnswer }
  /** A finished step, for the store of a worker to come. */
  | { kind: "kept"; name: string; bytes: Uint8Array };

export interface AuditDone {
  ship: boolean;
  /** One sentence. */
  answer: string;
  /** The Result and the report as files: the same bytes that the command line writes. */
  json: string;
  report: string;
  /** The answer, what fails and warns, and the report below that, as HTML. */
  verdict: string;
  reasons: string;
  body: string;
}

/** What the worker can be asked: by name, what goes in and what comes out. */
export interface Services {
  /** Of a policy alone, to say what is wrong with it. */
  policy: { input: NonNullable<AuditRequest["policy"]>; output: null };
  inspect: { input: { model: ModelFile }; output: ModelSummary };
  images: { input: { source: ImageSource; classes: number }; output: ImageSummary };
  audit: { input: AuditRequest; output: AuditDone };
}

export type ServiceName = keyof Services;

/** The first message: where the page lies, and finished steps from before. */
export interface Start {
  base: string;
  kept: [name: string, bytes: Uint8Array][];
}

export interface Asked<Name extends ServiceName = ServiceName> {
  id: number;
  name: Name;
  input: Services[Name]["input"];
}

export type Reply =
  | { id: number; output: Services[ServiceName]["output"] }
  | { id: number; event: AuditEvent }
  /** One line. */
  | { id: number; error: string };
