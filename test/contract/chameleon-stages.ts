// Every stage of Chameleon beside the reference's numbers, computed but not judged: tests hold f32 to its
// bars, the parity table prints the cosines of the quantized runs.
import type { ContentPart, Message } from "../../src/base/requests.ts";
import type { Pixels } from "../../src/base/pixels.ts";
import type {
  DrawRequest,
  InterleaveStage,
  Stages,
  WrittenPrompt,
} from "../../src/models/family.ts";
import type { Runtime, TensorData } from "../../src/session/runtime.ts";
import { CodeDrawing } from "../../src/tokens/code-drawing.ts";
import { known, rgbOf, values } from "../support/golden-values.ts";
import type { GoldenTensors } from "../support/safetensors-file.ts";
import type { Compared } from "./compared.ts";
import { answerGreedily, compareGreedy, feed, GREEDY, type ComparedAnswer } from "./greedy.ts";

type Part = string | number;

/** What make.py wrote beside the tensors. */
export interface ChameleonGoldens {
  readonly tensors: GoldenTensors;
  readonly photos: readonly Pixels[];
  readonly json: {
    readonly text: Readonly<Record<string, TextCase>>;
    readonly draw?: Readonly<Record<string, DrawCase>>;
    readonly interleaved?: {
      readonly prompt: string;
      readonly segments: readonly (readonly number[])[];
      readonly newTokens: number;
    };
    readonly tokens: {
      readonly image: readonly number[];
      readonly text: readonly number[];
    } & Readonly<Record<"bos" | "eos" | "boi" | "eoi" | "eot", number>>;
  };
}

interface TextCase {
  readonly turns: readonly (readonly Part[])[];
  readonly ids: readonly number[];
  readonly answerIds: readonly number[];
}

interface DrawCase {
  readonly parts: readonly Part[];
  readonly contexts: readonly (readonly number[])[];
  readonly generated: readonly number[];
}

/** Two lists of ids that ought to be equal. */
export interface ComparedIds {
  readonly actual: readonly number[];
  readonly expected: readonly number[];
}

/** The golden conversation as messages; pictures are numbers of photos. */
export function goldenMessages({ json, photos }: ChameleonGoldens, name: string): Message[] {
  const content = (parts: readonly Part[]): ContentPart[] =>
    parts.map((part) =>
      typeof part === "string"
        ? { type: "text", text: part }
        : { type: "image", image: known(photos[part], `photo ${part}`) },
    );
  return known(json.text[name], name).turns.map(([role, ...parts]) => ({
    role: role === "user" ? "user" : "assistant",
    content: content(parts),
  }));
}

/** Logits behind the prompt, and the greedy tokens that follow. */
export function compareAnswer(
  stages: Pick<Stages, "runtime" | "write">,
  goldens: ChameleonGoldens,
  name: string,
): Promise<ComparedAnswer> {
  return compareGreedy(stages, {
    name,
    messages: goldenMessages(goldens, name),
    answerIds: known(goldens.json.text[name], name).answerIds,
    logits: values(goldens, `text.${name}.logits`),
  });
}

/** Guided logits of every picture id along the golden codes. */
export async function compareGuided(
  stages: Stages,
  goldens: ChameleonGoldens,
  name: string,
  change: Partial<DrawRequest> = {},
): Promise<Compared> {
  const { runtime } = stages;
  const { generated } = drawCase(goldens, name);
  const drawing = await prepareGolden(stages, goldens, name, change);
  const core = await drawing.parts.begin();
  const steps: TensorData[] = [await runtime.read(core.logits)];
  for (const id of generated.slice(0, -1)) {
    await feed(runtime, core, id);
    steps.push(await runtime.read(core.logits));
  }
  drawing.dispose();
  const actual = steps.flatMap((logits) =>
    goldens.json.tokens.image.map((id) => logits[id] ?? Number.NaN),
  );
  return {
    stage: `guided logits (${name})`,
    actual,
    expected: values(goldens, `draw.${name}.guided`),
  };
}

/** Logits of a single context behind the prompt: guidance 1 by text and pictures leaves the full one. */
export async function compareFullContext(
  stages: Stages,
  goldens: ChameleonGoldens,
  name: string,
): Promise<Compared> {
  const alone = { guidance: 1, imageGuidance: 1 };
  const drawing = await prepareGolden(stages, goldens, name, alone);
  const { logits } = await drawing.parts.begin();
  const actual = await stages.runtime.read(logits);
  drawing.dispose();
  const expected = values(goldens, `draw.${name}.logits.0`).subarray(0, actual.length);
  return { stage: `logits of the full context (${name})`, actual, expected };
}

/** The greedy picture: its ids, and its pixels as RGB bytes. */
export async function compareGreedyPicture(
  stages: Stages,
  goldens: ChameleonGoldens,
  name: string,
): Promise<{ ids: ComparedIds; pixels: Compared }> {
  const drawing = await prepareGolden(stages, goldens, name);
  const { ids, pixels } = await drawGreedily(stages.runtime, drawing);
  return {
    ids: { actual: ids, expected: drawCase(goldens, name).generated },
    pixels: {
      stage: `pixels (${name})`,
      actual: rgbOf(pixels),
      expected: values(goldens, `draw.${name}.pixels`),
    },
  };
}

/** A greedy answer of text, a picture that the core began, and text: all its ids in order. */
export async function compareInterleaved(
  stages: Stages,
  goldens: ChameleonGoldens,
): Promise<ComparedIds> {
  const { prompt, segments, newTokens } = known(goldens.json.interleaved, "interleaved");
  const stage: InterleaveStage = known(stages.interleave, "interleave");
  const { runtime } = stages;
  const actual: number[] = [];
  const message: Message = { role: "user", content: [{ type: "text", text: prompt }] };
  let written: WrittenPrompt | undefined = await stage.prefill([message], newTokens);
  while (written !== undefined) {
    const { ids, stopId } = await answerGreedily(runtime, written, stage.beginIds);
    const answered = stopId === undefined ? ids : [...ids, stopId];
    actual.push(...answered);
    if (stopId === undefined) break;
    const drawing = await stage.prepare(answered, { seed: 0 });
    if (!(drawing instanceof CodeDrawing)) throw new Error("Chameleon draws codes");
    const drawn = await drawGreedily(runtime, drawing);
    actual.push(...drawn.ids, goldens.json.tokens.eoi);
    written = await stage.resume(newTokens);
  }
  return { actual, expected: segments.flat() };
}

/** The drawing of a golden case. */
export async function prepareGolden(
  { draw }: Pick<Stages, "draw">,
  goldens: ChameleonGoldens,
  name: string,
  change: Partial<DrawRequest> = {},
): Promise<CodeDrawing> {
  const { parts } = drawCase(goldens, name);
  const stage = known(draw, "draw");
  const images = parts.flatMap((part) =>
    typeof part === "number" ? [known(goldens.photos[part], "photo")] : [],
  );
  const prompt = parts.filter((part) => typeof part === "string").join("");
  const drawing = await stage.prepare({
    ...stage.defaults(images),
    prompt,
    images,
    seed: 0,
    count: 1,
    ...change,
  });
  if (!(drawing instanceof CodeDrawing)) throw new Error("Chameleon draws codes");
  return drawing;
}

async function drawGreedily(
  runtime: Runtime,
  drawing: CodeDrawing,
): Promise<{ ids: number[]; pixels: Pixels }> {
  const greedy = new CodeDrawing(runtime, { ...drawing.parts, sampling: GREEDY });
  for await (const _ of greedy.draw(0, { settleEvery: 0 }));
  const ids = [...(await greedy.readLatents())];
  const pixels = await greedy.decode();
  greedy.dispose();
  drawing.dispose();
  return { ids, pixels };
}

function drawCase({ json }: ChameleonGoldens, name: string): DrawCase {
  return known(json.draw?.[name], name);
}
