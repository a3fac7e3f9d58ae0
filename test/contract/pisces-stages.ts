// Every stage of Pisces beside the libraries' numbers, computed but not judged: tests hold f32 to its bars, the
// parity table prints the cosines of the quantized runs.
import type { Pixels } from "../../src/base/pixels.ts";
import type { Message } from "../../src/base/requests.ts";
import { FlowDrawing } from "../../src/flow/flow-drawing.ts";
import type { Stages } from "../../src/models/family.ts";
import type { PiscesDrawer } from "../../src/models/pisces/drawer.ts";
import type { TensorData } from "../../src/session/runtime.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import { finish, known, messagesWith, rgbOf, values } from "../support/golden-values.ts";
import type { GoldenTensors } from "../support/safetensors-file.ts";
import type { Compared } from "./compared.ts";
import { compareGreedy, type ComparedAnswer } from "./greedy.ts";

/** What make.py wrote beside the tensors. */
export interface PiscesGoldens {
  readonly tensors: GoldenTensors;
  readonly photos: readonly Pixels[];
  readonly json: {
    readonly understand: Readonly<Record<string, UnderstandCase>>;
    readonly generate: {
      readonly prompt: string;
      readonly negativePrompt: string;
      readonly promptIds: Readonly<Record<"cond" | "uncond" | "negative", readonly number[]>>;
      readonly noiseSeed: number;
      readonly guidance: number;
      readonly width: number;
      readonly height: number;
      readonly times: readonly { readonly timestep: number; readonly sigma: number }[];
      readonly schedules: Readonly<Record<string, GoldenSchedule>>;
    };
  };
}

/** One case of understanding. */
export interface UnderstandCase {
  readonly messages: readonly { readonly role: Message["role"]; readonly content: string }[];
  readonly photos: readonly number[];
  /** Ids of the text before, between and behind pictures, without their tags. */
  readonly textIds: readonly (readonly number[])[];
  readonly slots: number;
  readonly answerIds: readonly number[];
}

/** What the scheduler says of a number of steps. */
export interface GoldenSchedule {
  readonly sigmas: readonly number[];
  readonly timesteps: readonly number[];
  readonly noiseScale: number;
}

/** What a picture is drawn with. */
export interface DrawCase {
  readonly steps: number;
  readonly guidance?: number;
  readonly isNegative?: boolean;
}

const PICTURE = "<picture>";

/** A golden case as messages. */
export function goldenMessages(
  { messages, photos }: UnderstandCase,
  all: readonly Pixels[],
): Message[] {
  return messagesWith(messages, { tag: PICTURE, photos, all });
}

/** Logits behind the prompt, and the greedy tokens that follow. */
export function compareAnswer(
  stages: Pick<Stages, "runtime" | "write">,
  goldens: PiscesGoldens,
  name: string,
): Promise<ComparedAnswer> {
  const asked = known(goldens.json.understand[name], name);
  return compareGreedy(stages, {
    name,
    messages: goldenMessages(asked, goldens.photos),
    answerIds: asked.answerIds,
    logits: values(goldens, `understand.${name}.logits`),
  });
}

/** The vectors of the prompt, of the empty caption and of the negative prompt. */
export async function compareVectors(stages: Stages, goldens: PiscesGoldens): Promise<Compared[]> {
  const { prompt, negativePrompt } = goldens.json.generate;
  const compared: Compared[] = [];
  for (const [negative, name] of [
    [undefined, "uncond"],
    [negativePrompt, "negative"],
  ] as const) {
    const both = await conditions(stages, goldens, prompt, negative);
    const rows = [both.subarray(0, both.length / 2), both.subarray(both.length / 2)];
    for (const [row, key] of ["cond", name].entries()) {
      const expected = values(goldens, `generate.${key}.vectors`);
      compared.push({ stage: `vectors (${key})`, actual: known(rows[row], "row"), expected });
    }
  }
  return compared;
}

/** Predicted noise of both rows at several times. */
export async function compareVelocity(stages: Stages, goldens: PiscesGoldens): Promise<Compared[]> {
  const { runtime } = stages;
  const { field } = (await fieldOf(stages, goldens)).parts;
  const compared: Compared[] = [];
  for (const { timestep, sigma } of goldens.json.generate.times) {
    runtime.write(field.latents, values(goldens, "generate.latents"));
    runtime.write(field.time, Float32Array.of(1 / Math.hypot(sigma, 1), timestep));
    await field.evaluate();
    const both = await runtime.read(field.velocity);
    const size = both.length / 2;
    for (const [row, name] of ["cond", "uncond"].entries()) {
      const actual = both.subarray(row * size, (row + 1) * size);
      const expected = values(goldens, `generate.t.${timestep}.${name}`);
      compared.push({ stage: `${name} at time ${timestep}`, actual, expected });
    }
  }
  return compared;
}

/** Latents after some Euler steps from the golden noise. */
export async function compareLatents(
  stages: Stages,
  goldens: PiscesGoldens,
  asked: DrawCase,
): Promise<Compared> {
  const { latents } = await drawGolden(stages, goldens, asked);
  const kind = asked.isNegative ? "negative." : asked.guidance === 1 ? "alone." : "";
  const name = `${kind}steps${asked.steps}.latents`;
  return { stage: name, actual: latents, expected: values(goldens, `generate.${name}`) };
}

/** Pixels (RGB bytes) of the golden picture: 10 steps. */
export async function comparePixels(stages: Stages, goldens: PiscesGoldens): Promise<Compared> {
  const { pictures } = await drawGolden(stages, goldens, { steps: 10 });
  return {
    stage: "pixels, 10 steps",
    actual: rgbOf(pictures[0]),
    expected: values(goldens, "generate.pixels"),
  };
}

async function conditions(
  stages: Stages,
  goldens: PiscesGoldens,
  prompt: string,
  negativePrompt: string | undefined,
): Promise<TensorData> {
  const drawing = await fieldOf(stages, goldens, { prompt, negativePrompt });
  const { field } = drawing.parts;
  if (!("conditions" in field)) throw new Error("Pisces' field has conditions");
  return stages.runtime.read(field.conditions as never);
}

async function fieldOf(
  { draw }: Stages,
  { json }: PiscesGoldens,
  {
    prompt = json.generate.prompt,
    negativePrompt,
  }: { prompt?: string; negativePrompt?: string | undefined } = {},
): Promise<FlowDrawing> {
  const drawer = known(draw, "draw") as PiscesDrawer;
  const { width, height } = json.generate;
  const request = { ...drawer.defaults(), width, height, prompt, images: [], seed: 0, count: 1 };
  const negative = negativePrompt === undefined ? {} : { negativePrompt };
  const drawing = await drawer.prepare({ ...request, ...negative });
  if (!(drawing instanceof FlowDrawing)) throw new Error("Pisces draws by a flow");
  return drawing;
}

function drawGolden(stages: Stages, goldens: PiscesGoldens, asked: DrawCase) {
  const { prompt, negativePrompt, width, height, guidance } = goldens.json.generate;
  const latents = values(goldens, "generate.noise") as Float32Array<ArrayBuffer>;
  const task = drawImages(stages, {
    prompt,
    width,
    height,
    guidance: asked.guidance ?? guidance,
    steps: asked.steps,
    ...(asked.isNegative ? { negativePrompt } : {}),
    latents,
    seed: 0,
    count: 1,
    previewEvery: 0,
    images: [],
  });
  return finish(task);
}
