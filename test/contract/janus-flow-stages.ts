// Every stage of JanusFlow beside the authors' numbers, computed but not judged: tests hold f32 to its
// bars, the parity table prints the cosines of the quantized runs.
import type { Message } from "../../src/base/requests.ts";
import type { Pixels } from "../../src/base/pixels.ts";
import type { DrawStage, Stages } from "../../src/models/family.ts";
import { FlowDrawing } from "../../src/flow/flow-drawing.ts";
import type { VelocityField } from "../../src/flow/integrate.ts";
import type { TensorData } from "../../src/session/runtime.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import { finish, known, messagesWith, rgbOf, values } from "../support/golden-values.ts";
import type { GoldenTensors } from "../support/safetensors-file.ts";
import type { Compared } from "./compared.ts";
import { compareGreedy, type ComparedAnswer } from "./greedy.ts";

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

/** Names of the understanding cases. */
export function understandCases({ json }: AnswerGoldens): string[] {
  return Object.keys(json.understand);
}

/** The golden conversation as messages: its last, empty turn is the one to be answered. */
export function goldenMessages(goldens: AnswerGoldens, name: string): Message[] {
  const { conversation, photos } = caseOf(goldens, name);
  const turns = conversation.slice(0, -1).map(({ role, content }) => ({
    role: role.includes("User") ? ("user" as const) : ("assistant" as const),
    content,
  }));
  return messagesWith(turns, { tag: "<image_placeholder>", photos, all: goldens.photos });
}

/** Logits behind the prompt, and the greedy tokens that follow. */
export function compareAnswer(
  stages: Pick<Stages, "runtime" | "write">,
  goldens: AnswerGoldens,
  name: string,
): Promise<ComparedAnswer> {
  return compareGreedy(stages, {
    name,
    messages: goldenMessages(goldens, name),
    answerIds: caseOf(goldens, name).answerIds,
    logits: values(goldens, `understand.${name}.logits`),
  });
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
    const both = await at(known(draw, "draw"), t);
    const size = both.length / 2;
    for (const [row, name] of ["vCond", "vUncond"].entries()) {
      const actual = both.subarray(row * size, (row + 1) * size);
      const expected = values(goldens, `generate.t.${t}.${name}`);
      compared.push({ stage: `${name} at t = ${t}`, actual, expected });
    }
  }
  const negative = await at(known(draw, "draw"), 0.5, negativePrompt);
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
  return {
    stage: "pixels, 10 steps, guidance 2",
    actual: rgbOf(pictures[0]),
    expected: values(goldens, "generate.steps10.guidance2.pixelsRounded"),
  };
}

function drawGolden(
  stages: Stages,
  goldens: JanusFlowGoldens,
  asked: { prompt: string; negativePrompt?: string; steps: number; guidance: number },
) {
  const latents = values(goldens, "generate.noise") as Float32Array<ArrayBuffer>;
  const rest = { latents, seed: 0, count: 1, previewEvery: 0, images: [] };
  return finish(drawImages(stages, { ...asked, ...rest }));
}

function caseOf({ json }: AnswerGoldens, name: string): UnderstandCase {
  return known(json.understand[name], name);
}
