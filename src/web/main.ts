/** The page: what is chosen goes to the worker, what comes back is shown. */
import { html } from "../report/html/markup.ts";
import { plural } from "../report/words.ts";
import { Cancelled, Client } from "./client.ts";
import { Devices } from "./devices.ts";
import { byId } from "./elements.ts";
import { chosenFiles, fileSource, filesOf, isModelName, isPolicyName } from "./files.ts";
import type {
  AuditRequest,
  ImageSource,
  ImageSummary,
  ModelFile,
  ModelSummary,
  NamedFile,
} from "./protocol.ts";
import { fetched, type Site } from "./site.ts";
import { Work } from "./work.ts";

const base = new URL(".", document.baseURI).href;
const site: Site = await (await fetched(`${base}site.json`)).json();
const client = new Client(base);
client.warm();
const devices = new Devices(site.profiles);
const work = new Work();
const runButton = byId("run", HTMLButtonElement);
const cancelButton = byId("cancel", HTMLButtonElement);

const NO_TWIN = byId("float-chosen").textContent;

const chosen: {
  model: { file: ModelFile; summary: ModelSummary } | null;
  float: ModelFile | null;
  images: ImageSource | null;
  policy: AuditRequest["policy"];
} = { model: null, float: null, images: null, policy: null };

let running = false;

/** Shows one line when something chosen is not what it should be; nothing that was chosen before is lost. */
async function attempt(action: () => Promise<void>): Promise<void> {
  showFault("");
  try {
    if (running) throw new Error("An audit is running: wait for it, or cancel it");
    await action();
  } catch (error) {
    if (!(error instanceof Cancelled)) showFault((error as Error).message);
  }
}

function showFault(line: string): void {
  byId("fault").hidden = line === "";
  byId("fault-line").textContent = line;
  byId("alarm").textContent = line;
}

const modelFile = async (file: File): Promise<ModelFile> => ({
  name: file.name,
  bytes: new Uint8Array(await file.arrayBuffer()),
});

const sizeText = ({ height, width, channels }: ModelSummary) =>
  `${width} × ${height} × ${channels}, ${channels === 1 ? "grey" : "RGB"}`;

async function takeModel(file: ModelFile): Promise<void> {
  const summary = await client.ask("inspect", { model: file });
  chosen.model = { file, summary };
  byId("model-chosen").innerHTML =
    html`<b>${file.name}</b><small>${summary.kind} · ${plural(summary.layers, "layer")} · ${sizeText(summary)} · ${summary.classes} classes</small>`.text;
}

async function takeFloat(file: ModelFile | null): Promise<void> {
  chosen.float = null;
  byId("float-chosen").textContent = NO_TWIN;
  if (!file) return;
  const summary = await client.ask("inspect", { model: file });
  if (summary.kind !== "float")
    throw new Error(`${file.name}: expected a float model, got one that holds integers`);
  chosen.float = file;
  byId("float-chosen").innerHTML = html`<b>${file.name}</b>`.text;
}

async function takeImages(source: ImageSource): Promise<void> {
  const summary = await client.ask("images", { source, classes: chosen.model?.summary.classes ?? 2 });
  chosen.images = source;
  byId("images-chosen").innerHTML = imagesText(source, summary).text;
}

function imagesText({ kind }: ImageSource, { name, images, classes }: ImageSummary) {
  const what = kind === "signs" ? "Traffic signs drawn by code" : name;
  return html`<b>${what}</b><small>${images > 0 && `${plural(images, "picture")} · `}${classes} classes</small>`;
}

async function takePolicy(policy: AuditRequest["policy"]): Promise<void> {
  if (policy) await client.ask("policy", policy);
  chosen.policy = policy;
  byId("policy-chosen").textContent = policy?.name ?? "The default: what fails the gate and what only warns.";
}

const policyFile = async ({ file }: NamedFile) => ({ name: file.name, text: await file.text() });

/** A drop of anything: models and a policy by their names, all else as images. */
async function take(files: readonly NamedFile[]): Promise<void> {
  const [model] = files.filter(({ path }) => isModelName(path));
  const [policy] = files.filter(({ path }) => isPolicyName(path));
  const others = files.filter(({ path }) => !isModelName(path) && !isPolicyName(path));
  if (policy) await takePolicy(await policyFile(policy));
  if (model) await takeModel(await modelFile(model.file));
  if (others.length > 0) await takeImages(fileSource(others));
}

async function trySample(file: string, policy: string): Promise<void> {
  const bytes = new Uint8Array(await (await fetched(`${base}models/${file}`)).arrayBuffer());
  await takePolicy({ name: policy, text: await (await fetched(`${base}models/${policy}`)).text() });
  await takeFloat(null);
  await takeModel({ name: file, bytes });
  await takeImages({ kind: "signs" });
  await run();
}

async function run(): Promise<void> {
  const { model, float, images, policy } = chosen;
  const profiles = devices.chosen();
  if (!model) throw new Error("Model: expected one, got none");
  if (!images) throw new Error("Images: expected some, got none");
  if (profiles.length === 0) throw new Error("Devices: expected one or more, got none");
  const seed = byId("seed", HTMLInputElement);
  if (!seed.checkValidity())
    throw new Error(`Seed: expected a whole number from 0 to 1000000, got ${seed.value || "none"}`);
  const checked = document.querySelector<HTMLInputElement>("input[name=preset]:checked")!;
  const preset = checked.value as AuditRequest["preset"];
  const request = { model: model.file, float, images, profiles, preset, seed: seed.valueAsNumber, policy };
  busy(true);
  work.begin(model.file.name);
  try {
    work.finish(await client.ask("audit", request, (event) => work.hear(event)));
  } catch (error) {
    if (error instanceof Cancelled) work.stop("Cancelled.", "cancelled");
    else work.stop(`It could not be audited: ${(error as Error).message}`, "failed");
  } finally {
    busy(false);
  }
}

function busy(now: boolean): void {
  running = now;
  runButton.disabled = running;
  cancelButton.disabled = !running;
  for (const button of byId("samples").querySelectorAll("button")) button.disabled = running;
}

const onFiles = (id: string, action: (files: NamedFile[]) => Promise<void>) => {
  const input = byId(id, HTMLInputElement);
  input.addEventListener("change", () => {
    const files = chosenFiles(input);
    input.value = "";
    if (files.length > 0) attempt(() => action(files));
  });
};
onFiles("model-file", async ([{ file }]) => takeModel(await modelFile(file)));
onFiles("float-file", async ([{ file }]) => takeFloat(await modelFile(file)));
byId("float-none").addEventListener("click", () => attempt(() => takeFloat(null)));
onFiles("policy-file", async ([file]) => takePolicy(await policyFile(file)));
byId("policy-default").addEventListener("click", () => attempt(() => takePolicy(null)));
onFiles("images-folder", (files) => takeImages(fileSource(files)));
onFiles("images-files", (files) => takeImages(fileSource(files)));

byId("images-signs").addEventListener("click", () => attempt(() => takeImages({ kind: "signs" })));
byId("samples").addEventListener("click", ({ target }) => {
  const { file, policy } = (target as HTMLElement).dataset;
  if (file && policy) attempt(() => trySample(file, policy));
});
byId("setup").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(run);
});
byId("fault-close").addEventListener("click", () => showFault(""));
cancelButton.addEventListener("click", () => {
  client.cancel();
  runButton.focus();
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  // A drop is empty once its event is over: entries are taken now.
  const files = filesOf(event.dataTransfer!);
  attempt(async () => take(await files));
});
document.body.dataset.ready = "true";
