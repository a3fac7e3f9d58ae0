// A prompt, and a picture to edit where the model edits, become pictures, which can be watched, stopped, kept
// and asked about.
import type { GenerateImageOptions, Model } from "web-umm";
import { button, create, find, showText } from "./elements.ts";
import { describeError, isAbort, seconds } from "./format.ts";
import { showFrames } from "./gallery.ts";
import type { PictureAction } from "./gallery.ts";
import { PictureWell } from "./picture-well.ts";

/** Prompts of the kind that the embedded model was trained on. */
const SAMPLES = [
  "a red circle left of a blue square",
  "three green triangles",
  "a yellow square above a purple circle",
  "two blue circles",
];

/** Instructions of the kind that the embedded models that edit were trained on. */
const EDIT_SAMPLES = ["make the circle green", "remove the square", "move the circle down"];

/** Share of the steps between two previews. */
const PREVIEW_SHARE = 0.1;

const form = find("form", "draw-form");
const fields = find("fieldset", "draw-fields");
const prompt = find("textarea", "prompt");
const steps = find("input", "steps");
const guidance = find("input", "guidance");
const count = find("input", "count");
const seed = find("input", "seed");
const negative = find("input", "negative");
const previews = find("input", "previews");
const drawButton = find("button", "draw-button");
const statusText = find("p", "draw-status");
const bar = find("progress", "draw-bar");
const errorText = find("p", "draw-error");
const section = find("section", "draw-section");
const edited = find("div", "edited");

interface DrawPanelOptions {
  /** Told the model after each picture: its counters have moved. */
  readonly onDone: (model: Model) => void;
  /** The user wants to talk about a picture. */
  readonly onAsk: (picture: ImageData) => void;
}

/** Draws and edits with the loaded model. */
export class DrawPanel {
  readonly #options: DrawPanelOptions;
  readonly #well: PictureWell;
  #model: Model | undefined;
  #running: AbortController | undefined;

  constructor(options: DrawPanelOptions) {
    this.#options = options;
    this.#well = new PictureWell({
      name: "edited",
      pasteArea: section,
      onChange: () => showSamples(this.#well.picture ? EDIT_SAMPLES : SAMPLES),
      onError: (text) => showText(errorText, text),
    });
    showSamples(SAMPLES);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#running) this.#running.abort();
      else if (this.#model) void this.#draw(this.#model);
    });
    prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.#running) form.requestSubmit();
    });
  }

  /** Draws with this model from now on; with undefined, not at all. */
  use(model: Model | undefined): void {
    this.#running?.abort();
    this.#model = model?.capabilities.generateImage ? model : undefined;
    const canEdit = this.#model?.capabilities.editImage ?? false;
    edited.hidden = !canEdit;
    this.#well.isEnabled = canEdit;
    if (!canEdit) this.#well.clear();
    fields.disabled = !this.#model;
    drawButton.disabled = !this.#model;
    statusText.textContent = waitingText(model);
    showDefaults(this.#model);
  }

  async #draw(artist: Model): Promise<void> {
    const options = readOptions(artist);
    if (!options) return;
    const controller = new AbortController();
    this.#running = controller;
    showDrawing(true);
    const pictures = options.count ?? 1;
    const frames = showFrames(options.prompt, pictures);
    const started = performance.now();
    try {
      const run = this.#start(artist, { ...options, signal: controller.signal });
      for await (const event of run) {
        if (event.type === "step") showStep(event, pictures);
        else frames.show(event.image, event.pixels);
      }
      frames.finish(await run, this.#actionsFor(artist));
      statusText.textContent = `Done in ${seconds((performance.now() - started) / 1000)}.`;
      this.#options.onDone(artist);
    } catch (error) {
      frames.drop();
      if (!isAbort(error)) showText(errorText, describeError(error));
      statusText.textContent = isAbort(error) ? "Cancelled." : "";
    } finally {
      if (this.#running === controller) this.#running = undefined;
      showDrawing(false);
    }
  }

  #start(artist: Model, options: GenerateImageOptions): ReturnType<Model["generateImage"]> {
    const { picture } = this.#well;
    return picture
      ? artist.editImage({ ...options, images: [picture] })
      : artist.generateImage(options);
  }

  #actionsFor({ capabilities }: Model): PictureAction[] {
    const edit = (picture: ImageData): void => {
      void this.#well.take(picture);
      prompt.focus();
    };
    return [
      ...(capabilities.generateText ? [{ label: "Ask about it", run: this.#options.onAsk }] : []),
      ...(capabilities.editImage ? [{ label: "Edit it", run: edit }] : []),
    ];
  }
}

function waitingText(model: Model | undefined): string {
  if (!model) return "Load a model to begin.";
  return model.capabilities.generateImage ? "" : "This model does not draw.";
}

function showSamples(samples: readonly string[]): void {
  const choose = (sample: string) => () => {
    prompt.value = sample;
    prompt.focus();
  };
  find("ul", "samples").replaceChildren(
    ...samples.map((sample) => create("li", {}, button(sample, choose(sample), "chip"))),
  );
}

function showDefaults(model: Model | undefined): void {
  const defaults = model?.info.imageDefaults;
  steps.placeholder = defaults ? String(defaults.steps) : "";
  guidance.placeholder = defaults ? String(defaults.guidance) : "";
}

function readOptions({ info }: Model): GenerateImageOptions | undefined {
  showText(errorText, "");
  if (!form.reportValidity()) return undefined;
  if (prompt.value.trim() === "") {
    showText(errorText, "Say what to draw.");
    prompt.focus();
    return undefined;
  }
  const stepCount = numberIn(steps) ?? info.imageDefaults?.steps ?? 30;
  const numbers = { guidance: numberIn(guidance), seed: numberIn(seed), count: numberIn(count) };
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  return {
    prompt: prompt.value.trim(),
    steps: stepCount,
    previewEvery: previews.checked ? Math.max(1, Math.round(stepCount * PREVIEW_SHARE)) : 0,
    ...Object.fromEntries(given),
    ...(negative.value.trim() === "" ? {} : { negativePrompt: negative.value.trim() }),
  };
}

/** What was typed; undefined for an empty field: the model's own default. */
function numberIn(input: HTMLInputElement): number | undefined {
  return input.value === "" ? undefined : input.valueAsNumber;
}

function showDrawing(isDrawing: boolean): void {
  bar.hidden = !isDrawing;
  bar.removeAttribute("value");
  drawButton.textContent = isDrawing ? "Cancel" : "Draw";
  if (isDrawing) statusText.textContent = "Reading the prompt…";
}

interface Step {
  readonly image: number;
  readonly step: number;
  readonly steps: number;
  readonly secondsLeft?: number;
}

function showStep({ image, step, steps: all, secondsLeft }: Step, pictures: number): void {
  bar.value = (image + step / all) / pictures;
  const which = pictures > 1 ? `Picture ${image + 1} of ${pictures}, step` : "Step";
  const left = secondsLeft === undefined ? "" : ` · ${seconds(secondsLeft)} left`;
  statusText.textContent = `${which} ${step} of ${all}${left}`;
}
