// The main job on the embedded model, start to end: load, draw a prompt, ask what is in the picture.
// The shortest use of the library; demo/start.mjs runs it in a headless Chromium.
import { loadModel } from "web-umm";
import type { Model } from "web-umm";
import { paint } from "./canvas.ts";
import { find } from "./elements.ts";
import { describeError, seconds } from "./format.ts";

const PROMPT = "a red circle left of a blue square";
const QUESTION = "describe the picture";
const SEED = 1;

/** What the job made. */
export interface MainJobReport {
  readonly prompt: string;
  readonly caption: string;
  /** The PNG file, in base64. */
  readonly png: string;
}

declare global {
  /** The job of this page: starts with the page, rejects with what went wrong. */
  var mainJob: Promise<MainJobReport> | undefined;
}

globalThis.mainJob = runMainJob();
globalThis.mainJob.catch((error: unknown) => say(describeError(error)));

async function runMainJob(): Promise<MainJobReport> {
  const model = await timed("load", () =>
    loadModel(new URL("./models/tiny-janusflow/", document.baseURI), { quantization: "q8" }),
  );
  say(`model    ${model.family}, ${model.info.quantization}, on ${deviceOf(model)}`);
  const { images, timings } = await timed("draw", () =>
    model.generateImage({ prompt: PROMPT, seed: SEED }),
  );
  const image = images[0];
  if (!image) throw new Error("The model drew nothing.");
  say(
    `         prompt ${seconds(timings.promptSeconds)}, steps ${seconds(timings.stepsSeconds)}, decode ${seconds(timings.decodeSeconds)}`,
  );
  paint(find("canvas", "picture"), image.imageData);
  const { text, usage } = await timed("caption", () =>
    model.generateText({
      messages: [
        {
          role: "user",
          content: [
            { type: "image", image: image.imageData },
            { type: "text", text: QUESTION },
          ],
        },
      ],
      maxTokens: 64,
    }),
  );
  say(`         ${usage.completionTokens} tokens`);
  const png = await base64(await image.toBlob());
  await model.dispose();
  return { prompt: PROMPT, caption: text, png };
}

function deviceOf({ info }: Model): string {
  return info.backend === "webgpu" ? `WebGPU (${info.device})` : "the CPU";
}

async function timed<T>(name: string, work: () => PromiseLike<T>): Promise<T> {
  const started = performance.now();
  const result = await work();
  say(`${name.padEnd(8)} ${seconds((performance.now() - started) / 1000)}`);
  return result;
}

/** A line for the page, and for the terminal that runs it. */
function say(line: string): void {
  find("pre", "log").append(`${line}\n`);
  console.log(line);
}

async function base64(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCodePoint(byte)).join(""));
}
