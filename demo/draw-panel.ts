// A prompt becomes pictures, which can be watched, stopped, kept and asked about.
import type { DrawOutput, GenerateImageOptions, GeneratedImage, Model } from "web-umm";
import { paint } from "./canvas.ts";
import type { Picture } from "./canvas.ts";
import { button, create, find, showText } from "./elements.ts";
import { describeError, isAbort, seconds } from "./format.ts";

/** Prompts of the kind that the embedded model was trained on. */
const SAMPLES = [
  "a red circle left of a blue square",
  "three green triangles",
  "a yellow square above a purple circle",
  "two blue circles",
];

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
const gallery = find("div", "gallery");

/** What the rest of the page does with this panel. */
export interface DrawPanel {
  /** Draws with this model from now on; with undefined, not at all. */
  use(model: Model | undefined): void;
}

interface DrawPanelOptions {
  /** Told the model after each picture: its counters have moved. */
  readonly onDone: (model: Model) => void;
  /** The user wants to talk about a picture. */
  readonly onAsk: (picture: ImageData) => void;
}

/** Connects the panel. */
export function startDrawPanel({ onDone, onAsk }: DrawPanelOptions): DrawPanel {
  let model: Model | undefined;
  let running: AbortController | undefined;
  showSamples();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) running.abort();
    else if (model) void draw(model);
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!running) form.requestSubmit();
  });

  async function draw(artist: Model): Promise<void> {
    const options = readOptions(artist);
    if (!options) return;
    running = new AbortController();
    showDrawing(true);
    const frames = showFrames(options.prompt, options.count ?? 1);
    const started = performance.now();
    try {
      const run = artist.generateImage({ ...options, signal: running.signal });
      for await (const event of run) {
        if (event.type === "step") showStep(event, options.count ?? 1);
        else frames.show(event.image, event.pixels);
      }
      const output = await run;
      frames.finish(output, onAsk);
      statusText.textContent = `Done in ${seconds((performance.now() - started) / 1000)}.`;
      onDone(artist);
    } catch (error) {
      frames.drop();
      if (!isAbort(error)) showText(errorText, describeError(error));
      statusText.textContent = isAbort(error) ? "Cancelled." : "";
    } finally {
      running = undefined;
      showDrawing(false);
    }
  }

  return {
    use(next) {
      running?.abort();
      model = next?.capabilities.generateImage ? next : undefined;
      fields.disabled = !model;
      drawButton.disabled = !model;
      statusText.textContent = waitingText(next);
      showDefaults(model);
    },
  };
}

function waitingText(model: Model | undefined): string {
  if (!model) return "Load a model to begin.";
  return model.capabilities.generateImage ? "" : "This model does not draw.";
}

function showSamples(): void {
  const choose = (sample: string) => () => {
    prompt.value = sample;
    prompt.focus();
  };
  find("ul", "samples").replaceChildren(
    ...SAMPLES.map((sample) => create("li", {}, button(sample, choose(sample), "chip"))),
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

/** The frames of one call, which is the newest of the gallery. */
interface Frames {
  show(image: number, picture: Picture): void;
  finish(output: DrawOutput, onAsk: (picture: ImageData) => void): void;
  drop(): void;
}

function showFrames(text: string, pictures: number): Frames {
  const frames = Array.from({ length: pictures }, () => {
    const attributes = { role: "img", "aria-label": text, width: "1", height: "1" };
    const canvas = create("canvas", { className: "small", attributes });
    const figure = create("figure", { className: "pending" }, canvas);
    return { canvas, figure };
  });
  gallery.prepend(...frames.map(({ figure }) => figure));
  return {
    show(image, picture) {
      const frame = frames[image];
      if (frame) paint(frame.canvas, picture);
    },
    finish(output, onAsk) {
      for (const [index, image] of output.images.entries()) {
        const frame = frames[index];
        if (!frame) continue;
        paint(frame.canvas, image.imageData);
        frame.figure.classList.remove("pending");
        frame.figure.append(caption(text, output, image, onAsk));
      }
    },
    drop() {
      for (const { figure } of frames) figure.remove();
    },
  };
}

function caption(
  text: string,
  { seed: usedSeed, steps: usedSteps, guidance: weight, timings }: DrawOutput,
  image: GeneratedImage,
  onAsk: (picture: ImageData) => void,
): HTMLElement {
  const made = `seed ${usedSeed} · ${usedSteps} steps · guidance ${weight}`;
  const took = `prompt ${seconds(timings.promptSeconds)} · steps ${seconds(timings.stepsSeconds)} · decode ${seconds(timings.decodeSeconds)}`;
  return create(
    "figcaption",
    {},
    create("p", { text }),
    create("p", { className: "note numbers", text: made }),
    create("p", { className: "note numbers", text: took }),
    create(
      "p",
      { className: "actions" },
      button("Download PNG", () => void download(text, image), "quiet"),
      button("Ask about it", () => onAsk(image.imageData), "quiet"),
    ),
  );
}

async function download(text: string, image: GeneratedImage): Promise<void> {
  const url = URL.createObjectURL(await image.toBlob());
  const name =
    text
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "-")
      .slice(0, 60) || "picture";
  create("a", { attributes: { href: url, download: `${name}.png` } }).click();
  // The browser has taken the data when the click returns; a minute is for those that ask where to.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
