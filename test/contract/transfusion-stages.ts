// Every stage of Transfusion beside the library's numbers, computed but not judged: tests hold f32 to its
// bars, the parity table prints the cosines of the quantized runs.
import type { Pixels } from "../../src/base/pixels.ts";
import type { Message } from "../../src/base/requests.ts";
import type { ConverseResult } from "../../src/base/events.ts";
import { FlowDrawing } from "../../src/flow/flow-drawing.ts";
import { eulerSchedule, uniformLevels } from "../../src/flow/schedule.ts";
import type { DrawStage, Stages, WrittenPrompt } from "../../src/models/family.ts";
import { converse } from "../../src/tasks/converse.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import { finish, known, rgbOf, values } from "../support/golden-values.ts";
import type { GoldenTensors } from "../support/safetensors-file.ts";
import type { Compared } from "./compared.ts";
import { answerGreedily, compareGreedy, type ComparedAnswer } from "./greedy.ts";

/** What make.py wrote beside the tensors. */
export interface TransfusionGoldens {
  readonly tensors: GoldenTensors;
  readonly json: {
    /** [width, height] of the default picture. */
    readonly pixels: readonly [number, number];
    readonly noiseSeed: number;
    readonly tokens: Readonly<Record<"sos" | "eos" | "null" | "som" | "eom" | "meta", number>>;
    readonly draw: {
      readonly prompt: string;
      readonly ids: readonly number[];
      readonly negativePrompt: string;
      readonly negativeIds: readonly number[];
      /** null stands for the picture. */
      readonly editIds: readonly (readonly number[] | null)[];
    };
    readonly write: Readonly<Record<string, WriteCase>>;
    readonly interleave: {
      readonly prompt: string;
      /** Up to and with the begin of a picture. */
      readonly before: readonly number[];
      readonly after: readonly number[];
      readonly text: readonly [string, string];
    };
  };
}

/** A text to continue. */
export interface WriteCase {
  /** Texts, and null for the picture. */
  readonly content: readonly (string | null)[];
  readonly ids: readonly (readonly number[] | null)[];
  readonly answerIds: readonly number[];
}

/** A drawing with goldens. */
export type DrawCase = "draw" | "negative" | "edit";

/** The picture that prompts hold. */
export function goldenPicture(goldens: TransfusionGoldens): Pixels {
  const [width, height] = goldens.json.pixels;
  const rgb = values(goldens, "see.pixels");
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let k = 0; k < width * height * 3; k++) data[Math.floor(k / 3) * 4 + (k % 3)] = rgb[k] ?? 0;
  return { width, height, data };
}

/** A golden case as one user's message. */
export function goldenMessages(goldens: TransfusionGoldens, name: string): Message[] {
  const { content } = known(goldens.json.write[name], name);
  const parts = content.map((text) =>
    text === null
      ? ({ type: "image", image: goldenPicture(goldens) } as const)
      : ({ type: "text", text } as const),
  );
  return [{ role: "user", content: parts }];
}

/** Logits behind the prompt, and the greedy tokens that follow. */
export function compareAnswer(
  stages: Pick<Stages, "runtime" | "write">,
  goldens: TransfusionGoldens,
  name: string,
): Promise<ComparedAnswer> {
  return compareGreedy(stages, {
    name,
    messages: goldenMessages(goldens, name),
    answerIds: known(goldens.json.write[name], name).answerIds,
    logits: values(goldens, `write.${name}.logits`),
  });
}

/** v of both contexts at the golden times. */
export async function compareVelocity(
  { runtime, draw }: Pick<Stages, "runtime" | "draw">,
  goldens: TransfusionGoldens,
  name: DrawCase,
): Promise<Compared[]> {
  const { field } = (await prepare(known(draw, "draw"), goldens, name)).parts;
  const compared: Compared[] = [];
  for (const t of name === "draw" ? [0, 0.1, 0.5, 0.9] : [0.5]) {
    runtime.write(field.latents, values(goldens, "draw.latents"));
    runtime.write(field.time, Float32Array.of(t));
    await field.evaluate();
    const both = await runtime.read(field.velocity);
    const size = both.length / 2;
    for (const [row, label] of ["vCond", "vUncond"].entries()) {
      const actual = both.subarray(row * size, (row + 1) * size);
      const expected = values(goldens, `${name}.t${t}.${label}`);
      compared.push({ stage: `${label} at t = ${t} (${name})`, actual, expected });
    }
  }
  return compared;
}

/** Latents after some midpoint steps from the golden noise. */
export async function compareLatents(
  stages: Stages,
  goldens: TransfusionGoldens,
  { name, steps, guidance }: { name: DrawCase; steps: number; guidance: number },
): Promise<Compared> {
  const { latents } = await finish(
    drawImages(stages, { ...drawRequest(goldens, name), steps, guidance, previewEvery: 0 }),
  );
  return {
    stage: `latents, ${steps} midpoint steps, guidance ${guidance} (${name})`,
    actual: latents,
    expected: values(goldens, `${name}.midpoint${steps}.guidance${guidance}`),
  };
}

/** Latents after four Euler steps over the same field. */
export async function compareEuler(stages: Stages, goldens: TransfusionGoldens): Promise<Compared> {
  const { parts } = await prepare(known(stages.draw, "draw"), goldens, "draw");
  const schedule = eulerSchedule(uniformLevels(4));
  const drawing = new FlowDrawing(stages.runtime, { ...parts, schedule });
  for await (const step of drawing.draw(0, { settleEvery: 0 })) void step;
  return {
    stage: "latents, 4 Euler steps, guidance 3",
    actual: await drawing.readLatents(),
    expected: values(goldens, "draw.euler4.guidance3"),
  };
}

/** Pixels (RGB bytes) of the golden picture: 4 midpoint steps, guidance 3. */
export async function comparePixels(
  stages: Stages,
  goldens: TransfusionGoldens,
): Promise<Compared> {
  const request = { ...drawRequest(goldens, "draw"), steps: 4, guidance: 3, previewEvery: 0 };
  const { pictures } = await finish(drawImages(stages, request));
  return {
    stage: "pixels",
    actual: rgbOf(pictures[0]),
    expected: values(goldens, "draw.midpoint4.guidance3.pixels"),
  };
}

/** The golden answer of text, a picture and text: its ids, latents and the logits behind the picture. */
export async function compareInterleaved(
  { runtime, interleave }: Pick<Stages, "runtime" | "interleave">,
  goldens: TransfusionGoldens,
): Promise<{ ids: number[][]; latents: Compared; logits: Compared }> {
  const { prompt, before, after } = goldens.json.interleave;
  const stage = known(interleave, "interleave");
  const write = async (context: WrittenPrompt): Promise<number[]> => {
    const { ids, stopId } = await answerGreedily(runtime, context, stage.beginIds);
    return stopId === undefined ? ids : [...ids, stopId];
  };
  const messages: Message[] = [{ role: "user", content: [{ type: "text", text: prompt }] }];
  const written = await stage.prefill(messages, before.length + after.length);
  const first = await write(written);
  const drawing = await stage.prepare(first, { seed: goldens.json.noiseSeed, steps: 4 });
  for await (const step of drawing.draw(0, { settleEvery: 0 })) void step;
  const latents = await drawing.readLatents();
  const resumed = known(await stage.resume(after.length), "room");
  const logits = await runtime.read(resumed.core.logits);
  const second = await write(resumed);
  return {
    ids: [first, second],
    latents: {
      stage: "latents in an answer",
      actual: latents,
      expected: values(goldens, "interleave.latents"),
    },
    logits: {
      stage: "logits behind a drawn picture",
      actual: logits,
      expected: values(goldens, "interleave.logits"),
    },
  };
}

/** The same answer through the task. */
export function converseGolden(
  stages: Stages,
  goldens: TransfusionGoldens,
  maxTokens: number,
): Promise<ConverseResult> {
  const { prompt } = goldens.json.interleave;
  return finish(
    converse(stages, {
      messages: [{ role: "user", content: [{ type: "text", text: prompt }] }],
      maxTokens,
      temperature: 0,
      topK: 0,
      topP: 1,
      seed: goldens.json.noiseSeed,
      steps: 4,
      previewEvery: 0,
    }),
  );
}

function drawRequest(goldens: TransfusionGoldens, name: DrawCase) {
  const { prompt, negativePrompt } = goldens.json.draw;
  return {
    prompt,
    images: name === "edit" ? [goldenPicture(goldens)] : [],
    seed: 0,
    count: 1,
    latents: values(goldens, "draw.noise") as Float32Array<ArrayBuffer>,
    ...(name === "negative" ? { negativePrompt } : {}),
  };
}

async function prepare(
  draw: DrawStage,
  goldens: TransfusionGoldens,
  name: DrawCase,
): Promise<FlowDrawing> {
  const drawing = await draw.prepare({ ...draw.defaults([]), ...drawRequest(goldens, name) });
  if (!(drawing instanceof FlowDrawing)) throw new Error("Transfusion draws by a flow");
  return drawing;
}
