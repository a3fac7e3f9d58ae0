// Choosing a model, watching it load, and letting it go.
import { loadModel } from "web-umm";
import type {
  DeviceReport,
  LoadOptions,
  LoadPhase,
  LoadProgress,
  Model,
  ModelInfo,
  SourceInput,
} from "web-umm";
import { find, showText } from "./elements.ts";
import { bytes, describeError, seconds } from "./format.ts";

/** The models that come with the page, by the folder in models/; the first is chosen. */
const EMBEDDED_MODELS: Readonly<Record<string, string>> = {
  "tiny-janusflow": "tiny JanusFlow",
  "tiny-janus": "tiny Janus",
  "tiny-omnigen": "tiny OmniGen",
  "tiny-chameleon": "tiny Chameleon",
  "tiny-transfusion": "tiny Transfusion",
  "tiny-nexusgen": "tiny Nexus-Gen",
  "tiny-pisces": "tiny Pisces",
};

const PHASES: Readonly<Record<LoadPhase, string>> = {
  resolve: "Looking at the checkpoint",
  wait: "Another tab is downloading it",
  download: "Downloading",
  store: "Storing",
  read: "Reading from storage",
  upload: "Moving weights to the device",
  compile: "Compiling",
  ready: "Ready",
  recover: "The GPU was lost, the model comes back",
};

const SOURCES = ["embedded", "hub", "url", "folder"] as const;
type SourceKind = (typeof SOURCES)[number];

const form = find("form", "load-form");
const embeddedModel = find("select", "embedded-model");
const hubId = find("input", "hub-id");
const folderUrl = find("input", "folder-url");
const folderFiles = find("input", "folder-files");
const quantization = find("select", "quantization");
const backend = find("select", "backend");
const progressBox = find("div", "load-progress");
const phaseText = find("strong", "load-phase");
const bar = find("progress", "load-bar");
const detail = find("p", "load-detail");
const cancelButton = find("button", "load-cancel");
const loadedBox = find("div", "loaded");
const errorText = find("p", "load-error");
const statusText = find("p", "load-status");

/** What the rest of the page does with this panel. */
export interface ModelPanel {
  /** Chooses the CPU where WebGPU runs on it anyway: the small model is many times faster there. */
  suggestBackend(device: DeviceReport): void;
}

interface ModelPanelOptions {
  /** Told the model that is loaded, or undefined when it is let go. */
  readonly onModel: (model: Model | undefined, isEmbedded: boolean) => void;
}

/** Connects the panel. */
export function startModelPanel({ onModel }: ModelPanelOptions): ModelPanel {
  let model: Model | undefined;
  embeddedModel.replaceChildren(
    ...Object.entries(EMBEDDED_MODELS).map(([folder, name]) => new Option(name, folder)),
  );
  for (const input of form.querySelectorAll<HTMLInputElement>('input[name="source"]')) {
    input.addEventListener("change", showSourceField);
  }
  let loading: AbortController | undefined;
  cancelButton.addEventListener("click", () => loading?.abort());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void load();
  });
  find("button", "unload").addEventListener("click", () => void unload());
  showSourceField();

  async function load(): Promise<void> {
    const source = chosenSource();
    if (source === undefined) return;
    showLoading();
    const started = performance.now();
    loading = new AbortController();
    try {
      model = await loadModel(source, {
        ...chosenOptions(),
        signal: loading.signal,
        onProgress: showProgress,
      });
      showLoaded(nameOf(source), model.info, (performance.now() - started) / 1000);
      onModel(model, chosenKind() === "embedded");
    } catch (error) {
      showChoosing();
      showText(errorText, describeError(error));
      find("button", "load-button").focus();
    }
  }

  async function unload(): Promise<void> {
    const old = model;
    model = undefined;
    onModel(undefined, false);
    showChoosing();
    find("button", "load-button").focus();
    await old?.dispose();
  }

  return {
    suggestBackend({ adapter }) {
      if (adapter?.isSoftware && backend.value === "") backend.value = "wasm";
    },
  };
}

function chosenKind(): SourceKind {
  const value = new FormData(form).get("source");
  return SOURCES.find((kind) => kind === value) ?? "embedded";
}

function showSourceField(): void {
  const chosen = chosenKind();
  for (const kind of SOURCES) find("p", `${kind}-field`).hidden = kind !== chosen;
  // A small model loses more by 4 bits than it saves.
  quantization.value = chosen === "embedded" ? "q8" : "q4";
  showText(errorText, "");
}

/** What the form names; undefined, with a word to the user, when it names nothing. */
function chosenSource(): SourceInput | undefined {
  const kind = chosenKind();
  switch (kind) {
    case "embedded":
      return new URL(`./models/${embeddedModel.value}/`, document.baseURI);
    case "hub":
      return named(hubId, "Name a model, as owner/name.");
    case "url":
      return named(folderUrl, "Give the address of the folder that holds config.json.");
    case "folder": {
      const files = [...(folderFiles.files ?? [])];
      if (files.length > 0) return { files };
      showText(errorText, "Choose the folder that holds config.json.");
      return undefined;
    }
    default:
      return kind satisfies never;
  }
}

function named(input: HTMLInputElement, otherwise: string): string | undefined {
  const name = input.value.trim();
  if (name !== "") return name;
  showText(errorText, otherwise);
  input.focus();
  return undefined;
}

function chosenOptions(): Pick<LoadOptions, "quantization" | "backend"> {
  const weights = (["q4", "q8", "f16", "f32"] as const).find((one) => one === quantization.value);
  const place = (["webgpu", "wasm"] as const).find((one) => one === backend.value);
  return {
    ...(weights === undefined ? {} : { quantization: weights }),
    ...(place === undefined ? {} : { backend: place }),
  };
}

function nameOf(source: SourceInput): string {
  if (typeof source === "string") return source;
  if (source instanceof URL) return EMBEDDED_MODELS[embeddedModel.value] ?? embeddedModel.value;
  const first = Array.isArray(source.files) ? source.files[0]?.webkitRelativePath : undefined;
  return first?.split("/")[0] ?? "Folder";
}

function showChoosing(): void {
  form.hidden = false;
  progressBox.hidden = true;
  loadedBox.hidden = true;
}

function showLoading(): void {
  showText(errorText, "");
  form.hidden = true;
  progressBox.hidden = false;
  bar.removeAttribute("value");
  phaseText.textContent = "Starting";
  detail.textContent = "";
  statusText.textContent = "Loading the model.";
  cancelButton.focus();
}

function showProgress(progress: LoadProgress): void {
  const { phase, file, loadedBytes, totalBytes, bytesPerSecond, secondsLeft } = progress;
  // Only a new phase is worth saying aloud.
  if (phaseText.textContent !== PHASES[phase]) statusText.textContent = PHASES[phase];
  phaseText.textContent = PHASES[phase];
  // A loaded model whose GPU was lost comes back by itself.
  if (!loadedBox.hidden) progressBox.hidden = phase === "ready";
  if (totalBytes > 0) bar.value = Math.min(1, loadedBytes / totalBytes);
  else bar.removeAttribute("value");
  detail.textContent = [
    file,
    totalBytes > 0 ? `${bytes(loadedBytes)} of ${bytes(totalBytes)}` : "",
    bytesPerSecond > 0 ? `${bytes(bytesPerSecond)}/s` : "",
    secondsLeft === undefined ? "" : `${seconds(secondsLeft)} left`,
  ]
    .filter((part) => part !== "")
    .join(" · ");
}

function showLoaded(name: string, info: ModelInfo, elapsedSeconds: number): void {
  progressBox.hidden = true;
  loadedBox.hidden = false;
  find("strong", "loaded-name").textContent = name;
  find("span", "loaded-detail").textContent = [
    info.family,
    `${info.quantization} weights, ${bytes(info.storedBytes)}`,
    info.backend === "webgpu" ? `WebGPU, ${info.device}` : "CPU",
    `loaded in ${seconds(elapsedSeconds)}`,
  ].join(" · ");
  statusText.textContent = `${name} is loaded.`;
}
