// Every stage of JanusFlow beside the authors' numbers, computed but not judged: tests hold f32 to its
// bars, the parity table prints the cosines of the quantized runs.
import type { ContentPart, Message } from "../../src/base/requests.ts";
import type { Pixels } from "../../src/base/pixels.ts";
import type { DrawStage, Stages, WriteStage } from "../../src/models/family.ts";
import { FlowDrawing } from "../../src/flow/flow-drawing.ts";
import type { VelocityField } from "../../src/flow/integrate.ts";
import type { TensorData } from "../../src/session/runtime.ts";
import { generateTokens } from "../../src/tokens/generate-tokens.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import type { GoldenTensors } from "../support/safetensors-file.ts";

/** What the authors' processor and core made of conversations: of Janus too. */
export interface AnswerGoldens {
  readonly tensors: GoldenTensors;
  readonly photos: readonly Pixels[];
  readonly json: { readonly understand: Readonly<Record<string, UnderstandCase>> };
}

/** What make.py wrote beside the tensors. */
export interface JanusFlowGoldens extends AnswerGoldens {
  readonly json: AnswerGoldens["json"] & {
    readonly generate: {
      readonly prompt: string;
      readonly negativePrompt: string;
      readonly noiseSeed: number;
    };
  };
}

interface UnderstandCase {
  readonly conversation: readonly { role: string; content: string }[];
  readonly photos: readonly number[];
  readonly answerIds: readonly number[];
}

/** A computed stage and the reference's numbers for it. */
export interface Compared {
  readonly stage: string;
  readonly actual: ArrayLike<number>;
  readonly expected: ArrayLike<number>;
}

/** Names of the understanding cases. */
export function understandCases({ json }: AnswerGoldens): string[] {
  return Object.keys(json.understand);
}

/** The golden conversation as messages: its last, empty turn is the one to be answered. */
export function goldenMessages(goldens: AnswerGoldens, name: string): Message[] {
  const { conversation, photos } = golden(goldens, name);
  let photo = 0;
  const nextPhoto = (): ContentPart => {
    const image = goldens.photos[photos[photo++] ?? -1];
    if (image === undefined) throw new Error(`case ${name} has no photo ${photo - 1}`);
    return { type: "image", image };
  };
  return conversation.slice(0, -1).map(({ role, content }) => ({
    role: role.includes("User") ? ("user" as const) : ("assistant" as const),
    content: content
      .split("<image_placeholder>")
      .flatMap((text, index): ContentPart[] => [
        ...(index === 0 ? [] : [nextPhoto()]),
        ...(text === "" ? [] : [{ type: "text" as const, text }]),
      ]),
  }));
}

/** Logits behind the prompt, and the greedy tokens that follow. */
export async function compareAnswer(
  { runtime, write }: Pick<Stages, "runtime" | "write">,
  goldens: AnswerGoldens,
  name: string,
): Promise<{ logits: Compared; ids: number[]; expectedIds: readonly number[] }> {
  const writer = present(write);
  const { answerIds } = golden(goldens, name);
  const { core, room } = await writer.prefill(goldenMessages(goldens, name), answerIds.length);
  const logits = await runtime.read(core.logits);
  const options = { temperature: 0, topK: 0, topP: 1, seed: 0, stopIds: new Set<number>() };
  const ids: number[] = [];
  for await (const batch of generateTokens(runtime, core, { ...options, maxTokens: room })) {
    ids.push(...batch);
  }
  const expected = values(goldens, `understand.${name}.logits`);
  const stage = `logits (${name})`;
  return { logits: { stage, actual: logits, expected }, ids, expectedIds: answerIds };
}

/** v of the conditional and the unconditional row at several times. */
export async function compareVelocity(
  { runtime, draw }: Pick<Stages, "runtime" | "draw">,
  goldens: JanusFlowGoldens,
): Promise<Compared[]> {
  const { prompt, negativePrompt } = goldens.json.generate;
  const at = async (drawer: DrawStage, t: number, negative?: string): Promise<TensorData> => {
    const field = await fieldOf(drawer, prompt, negative);
    runtime.write(field.latents, values(goldens, "generate.latents"));
    runtime.write(field.time, Float32Array.of(t));
    await field.evaluate();
    return runtime.read(field.velocity);
  };
  const compared: Compared[] = [];
  for (const t of [0, 0.1, 0.5, 0.9]) {
    const both = await at(present(draw), t);
    const size = both.length / 2;
    for (const [row, name] of ["vCond", "vUncond"].entries()) {
      const actual = both.subarray(row * size, (row + 1) * size);
      const expected = values(goldens, `generate.t.${t}.${name}`);
      compared.push({ stage: `${name} at t = ${t}`, actual, expected });
    }
  }
  const negative = await at(present(draw), 0.5, negativePrompt);
  compared.push({
    stage: "v of the negative prompt at t = 0.5",
    actual: negative.subarray(negative.length / 2),
    expected: values(goldens, "generate.negative.t.0.5.vUncond"),
  });
  return compared;
}

async function fieldOf(
  drawer: DrawStage,
  prompt: string,
  negativePrompt?: string,
): Promise<VelocityField> {
  const request = { ...drawer.defaults([]), prompt, guidance: 2, images: [], seed: 0, count: 1 };
  const negative = negativePrompt === undefined ? {} : { negativePrompt };
  const drawing = await drawer.prepare({ ...request, ...negative });
  if (!(drawing instanceof FlowDrawing)) throw new Error("JanusFlow draws by a flow");
  return drawing.parts.field;
}

/** Latents after some Euler steps from the golden noise. */
export async function compareLatents(
  stages: Stages,
  goldens: JanusFlowGoldens,
  {
    steps,
    guidance,
    isNegative = false,
  }: { steps: number; guidance: number; isNegative?: boolean },
): Promise<Compared> {
  const { prompt, negativePrompt } = goldens.json.generate;
  const { latents } = await drawGolden(stages, goldens, {
    prompt,
    steps,
    guidance,
    ...(isNegative ? { negativePrompt } : {}),
  });
  const name = `steps${steps}.guidance${guidance}.latents`;
  return {
    stage: `latents, ${isNegative ? "negative prompt, " : ""}${steps} steps, guidance ${guidance}`,
    actual: latents,
    expected: values(goldens, `generate.${isNegative ? "negative." : ""}${name}`),
  };
}

/** Pixels (RGB bytes) of the golden picture: 10 steps, guidance 2. */
export async function comparePixels(stages: Stages, goldens: JanusFlowGoldens): Promise<Compared> {
  const { prompt } = goldens.json.generate;
  const { pictures } = await drawGolden(stages, goldens, { prompt, steps: 10, guidance: 2 });
  const rgba = pictures[0]?.data ?? new Uint8ClampedArray();
  return {
    stage: "pixels, 10 steps, guidance 2",
    actual: rgba.filter((_, k) => k % 4 !== 3),
    expected: values(goldens, "generate.steps10.guidance2.pixelsRounded"),
  };
}

async function drawGolden(
  stages: Stages,
  goldens: JanusFlowGoldens,
  asked: { prompt: string; negativePrompt?: string; steps: number; guidance: number },
) {
  const latents = values(goldens, "generate.noise") as Float32Array<ArrayBuffer>;
  const rest = { latents, seed: 0, count: 1, previewEvery: 0, images: [] };
  const task = drawImages(stages, { ...asked, ...rest });
  let next = await task.next();
  while (!next.done) next = await task.next();
  return next.value;
}

function golden(goldens: AnswerGoldens, name: string): UnderstandCase {
  return present(goldens.json.understand[name]);
}

function values({ tensors }: AnswerGoldens, name: string): Float32Array | Int32Array | Uint8Array {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`goldens have no ${name}`);
  return tensor.values;
}

function present<T extends DrawStage | WriteStage | UnderstandCase>(value: T | undefined): T {
  if (value === undefined) throw new Error("JanusFlow has this stage");
  return value;
}
