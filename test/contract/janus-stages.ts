// The drawing stages of Janus beside the authors' numbers, computed but not judged. Answers are compared as
// JanusFlow's are.
import type { Pixels } from "../../src/base/pixels.ts";
import type { DrawRequest, Stages } from "../../src/models/family.ts";
import type { Runtime, TensorData } from "../../src/session/runtime.ts";
import { CodeDrawing } from "../../src/tokens/code-drawing.ts";
import { golden, rgbOf, values } from "../support/golden-values.ts";
import type { Compared } from "./compared.ts";
import { feed } from "./greedy.ts";
import type { AnswerGoldens } from "./janus-flow-stages.ts";

/** What make.py wrote. */
export interface JanusGoldens extends AnswerGoldens {
  readonly json: AnswerGoldens["json"] & {
    readonly tokens: Readonly<Record<"bos" | "eos" | "pad" | "image" | "imageStart", number>>;
    readonly generate: {
      readonly prompt: string;
      readonly ids: readonly number[];
      readonly unconditionalIds: readonly number[];
      readonly negativePrompt: string;
      readonly negativeIds: readonly number[];
      readonly guidance: number;
      readonly codes: readonly number[];
    };
  };
}

// What the fixed codes are compared with: guidance 1 leaves the conditional row alone, 0 the unconditional.
const ROWS = [
  { name: "conditional", guidance: 1, isNegative: false, row: 0, key: "generate.fixed.logits" },
  { name: "unconditional", guidance: 0, isNegative: false, row: 1, key: "generate.fixed.logits" },
  { name: "negative", guidance: 0, isNegative: true, row: 0, key: "generate.negative.logits" },
] as const;

/** Logits of the prompt, of padding in its place and of a negative prompt, at every step of a fixed picture. */
export async function compareRows(stages: Stages, goldens: JanusGoldens): Promise<Compared[]> {
  const compared: Compared[] = [];
  for (const { name, guidance, isNegative, row, key } of ROWS) {
    const { negativePrompt } = goldens.json.generate;
    const change = isNegative ? { guidance, negativePrompt } : { guidance };
    const drawing = await prepareGolden(stages, goldens, change);
    const actual = await logitsAlong(stages.runtime, drawing, fixedCodes(goldens));
    compared.push({ stage: `${name} logits`, actual, expected: goldenRow(goldens, key, row) });
  }
  return compared;
}

/** Guided logits at every step of a fixed picture. */
export async function compareGuided(stages: Stages, goldens: JanusGoldens): Promise<Compared> {
  const { guidance } = goldens.json.generate;
  const drawing = await prepareGolden(stages, goldens, { guidance });
  const actual = await logitsAlong(stages.runtime, drawing, fixedCodes(goldens));
  const conditional = goldenRow(goldens, "generate.fixed.logits", 0);
  const expected = goldenRow(goldens, "generate.fixed.logits", 1).map(
    (other, at) => other + guidance * ((conditional[at] ?? Number.NaN) - other),
  );
  return { stage: "guided logits", actual, expected };
}

/** The greedy picture: its codes, and its pixels as RGB bytes. */
export async function compareGreedyPicture(
  stages: Stages,
  goldens: JanusGoldens,
): Promise<{ codes: Compared; pixels: Compared }> {
  const { guidance, codes } = goldens.json.generate;
  const drawing = await prepareGolden(stages, goldens, { guidance });
  const sampling = { ...drawing.parts.sampling, temperature: 0 };
  const greedy = new CodeDrawing(stages.runtime, { ...drawing.parts, sampling });
  for await (const _ of greedy.draw(0, { settleEvery: 0 }));
  const actual = await greedy.readLatents();
  const pixels = await greedy.decode();
  greedy.dispose();
  drawing.dispose();
  return {
    codes: { stage: "codes", actual, expected: codes },
    pixels: comparePixels("greedy", pixels, goldens),
  };
}

/** Pixels of the fixed codes. */
export async function compareFixedPicture(
  stages: Stages,
  goldens: JanusGoldens,
): Promise<Compared> {
  const { runtime } = stages;
  const drawing = await prepareGolden(stages, goldens, {});
  const codes = fixedCodes(goldens);
  const ids = runtime.createTensor("i32", [codes.length], Int32Array.from(codes));
  const pixels = await drawing.parts.decode(ids);
  ids.dispose();
  drawing.dispose();
  return comparePixels("fixed", pixels, goldens);
}

function comparePixels(name: string, pixels: Pixels, goldens: JanusGoldens): Compared {
  const actual = rgbOf(pixels);
  const expected = values(goldens, `generate.${name}.pixels`);
  return { stage: `pixels of ${name} codes`, actual, expected };
}

async function prepareGolden(
  { draw }: Pick<Stages, "draw">,
  { json }: JanusGoldens,
  change: Partial<DrawRequest>,
): Promise<CodeDrawing> {
  if (draw === undefined) throw new Error("Janus draws");
  const { prompt } = json.generate;
  const request = { ...draw.defaults([]), prompt, images: [], seed: 0, count: 1, ...change };
  const drawing = await draw.prepare(request);
  if (!(drawing instanceof CodeDrawing)) throw new Error("Janus draws codes");
  return drawing;
}

/** Logits of every step, the codes being picked whatever they say. Disposes the drawing. */
async function logitsAlong(
  runtime: Runtime,
  drawing: CodeDrawing,
  codes: readonly number[],
): Promise<number[]> {
  const core = await drawing.parts.begin();
  const steps: TensorData[] = [await runtime.read(core.logits)];
  for (const code of codes.slice(0, -1)) {
    await feed(runtime, core, code);
    steps.push(await runtime.read(core.logits));
  }
  drawing.dispose();
  return steps.flatMap((logits) => [...logits]);
}

function fixedCodes(goldens: JanusGoldens): number[] {
  return [...values(goldens, "generate.fixedCodes")];
}

/** One row of logits at every step: of [steps, rows, codes], or all of [steps, codes]. */
function goldenRow(goldens: JanusGoldens, key: string, row: number): number[] {
  const all = [...values(goldens, key)];
  const { shape } = golden(goldens, key);
  const [codes = 1, rows = 1] = [shape.at(-1), shape.length === 3 ? shape[1] : 1];
  return all.filter((_, at) => Math.floor(at / codes) % rows === row);
}
