// Every stage of Pisces beside the libraries' numbers, computed but not judged: tests hold f32 to its bars, the
// parity table prints the cosines of the quantized runs.
import type { Pixels } from "../../src/base/pixels.ts";
import type { ContentPart, Message } from "../../src/base/requests.ts";
import { FlowDrawing } from "../../src/flow/flow-drawing.ts";
import type { Stages } from "../../src/models/family.ts";
import type { PiscesDrawer } from "../../src/models/pisces/drawer.ts";
import type { TensorData } from "../../src/session/runtime.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import { generateTokens } from "../../src/tokens/generate-tokens.ts";
import type { GoldenTensors } from "../support/safetensors-file.ts";

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

/** A computed stage and the reference's numbers for it. */
export interface Compared {
  readonly stage: string;
  readonly actual: ArrayLike<number>;
  readonly expected: ArrayLike<number>;
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
  let photo = 0;
  const nextPhoto = (): ContentPart => {
    const image = all[photos[photo++] ?? -1];
    if (image === undefined) throw new Error(`the case has no photo ${photo - 1}`);
    return { type: "image", image };
  };
  return messages.map(({ role, content }) => ({
    role,
    content: content
      .split(PICTURE)
      .flatMap((text, index): ContentPart[] => [
        ...(index === 0 ? [] : [nextPhoto()]),
        ...(text === "" ? [] : [{ type: "text" as const, text }]),
      ]),
  }));
}

/** Logits behind the prompt, and the greedy tokens that follow. */
export async function compareAnswer(
  { runtime, write }: Pick<Stages, "runtime" | "write">,
  goldens: PiscesGoldens,
  name: string,
): Promise<{ logits: Compared; ids: number[]; expectedIds: readonly number[] }> {
  const golden = present(goldens.json.understand[name]);
  const { answerIds } = golden;
  const messages = goldenMessages(golden, goldens.photos);
  const { core, room } = await present(write).prefill(messages, answerIds.length);
  const logits = await runtime.read(core.logits);
  const options = { temperature: 0, topK: 0, topP: 1, seed: 0, stopIds: new Set<number>() };
  const ids: number[] = [];
  for await (const batch of generateTokens(runtime, core, { ...options, maxTokens: room })) {
    ids.push(...batch);
  }
  const expected = values(goldens, `understand.${name}.logits`);
  return {
    logits: { stage: `logits (${name})`, actual: logits, expected },
    ids,
    expectedIds: answerIds,
  };
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
      compared.push({ stage: `vectors (${key})`, actual: present(rows[row]), expected });
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
  const rgba = pictures[0]?.data ?? new Uint8ClampedArray();
  return {
    stage: "pixels, 10 steps",
    actual: rgba.filter((_, k) => k % 4 !== 3),
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
  const drawer = present(draw) as PiscesDrawer;
  const { width, height } = json.generate;
  const request = { ...drawer.defaults(), width, height, prompt, images: [], seed: 0, count: 1 };
  const negative = negativePrompt === undefined ? {} : { negativePrompt };
  const drawing = await drawer.prepare({ ...request, ...negative });
  if (!(drawing instanceof FlowDrawing)) throw new Error("Pisces draws by a flow");
  return drawing;
}

async function drawGolden(stages: Stages, goldens: PiscesGoldens, asked: DrawCase) {
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
  let next = await task.next();
  while (!next.done) next = await task.next();
  return next.value;
}

function values({ tensors }: PiscesGoldens, name: string): Float32Array | Int32Array | Uint8Array {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`goldens have no ${name}`);
  return tensor.values;
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("Pisces has this");
  return value;
}
