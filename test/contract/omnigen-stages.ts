// Every stage of OmniGen beside the authors' numbers, computed but not judged: tests hold f32 to its bars, the
// parity table prints the cosines of the quantized runs.
import type { Pixels } from "../../src/base/pixels.ts";
import { FlowDrawing } from "../../src/flow/flow-drawing.ts";
import type { DrawRequest, Stages } from "../../src/models/family.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import { finish, rgbOf, values } from "../support/golden-values.ts";
import type { GoldenTensors } from "../support/safetensors-file.ts";
import type { Compared } from "./compared.ts";

/** One branch of the reference's guidance. */
export interface GoldenBranch {
  readonly ids: readonly number[];
  readonly pictures: readonly (readonly [number, number])[];
  readonly isLong: boolean;
}

/** A run of the authors' pipeline. */
export interface GoldenRun {
  readonly name: string;
  readonly case: string;
  readonly steps: number;
  readonly guidance: number;
  readonly imageGuidance?: number;
}

/** What make.py wrote beside the tensors. */
export interface OmniGenGoldens {
  readonly tensors: GoldenTensors;
  readonly photos: readonly Pixels[];
  readonly json: {
    readonly width: number;
    readonly height: number;
    readonly seed: number;
    readonly negativePrompt: string;
    readonly cases: Readonly<
      Record<
        string,
        {
          readonly prompt: string;
          readonly photos: readonly number[];
          readonly branches: Readonly<Record<string, GoldenBranch>>;
        }
      >
    >;
    readonly negative: { readonly prompt: string; readonly ids: readonly number[] };
    readonly runs: readonly GoldenRun[];
    readonly crops: readonly (readonly [number, number, number])[];
    readonly diffusers: { readonly config: object; readonly names: readonly string[] };
  };
}

type Field = FlowDrawing["parts"]["field"];

/** v of every row at several times: two rows from text, three with two pictures. */
export async function compareVelocity(
  { runtime, draw }: Pick<Stages, "runtime" | "draw">,
  goldens: OmniGenGoldens,
): Promise<Compared[]> {
  const compared: Compared[] = [];
  const evaluate = async (field: Field, t: number): Promise<Float32Array> => {
    runtime.write(field.latents, values(goldens, "probe"));
    runtime.write(field.time, Float32Array.of(t));
    await field.evaluate();
    return (await runtime.read(field.velocity)) as Float32Array;
  };
  for (const [name, rows] of ROWS) {
    const field = await fieldOf(draw, goldens, name);
    for (const t of name === "edit" ? [0.5] : [0, 0.02, 0.5, 0.98]) {
      const all = await evaluate(field, t);
      const size = all.length / rows.length;
      for (const [row, branch] of rows.entries()) {
        compared.push({
          stage: `${name}, ${branch}, t = ${t}`,
          actual: all.subarray(row * size, (row + 1) * size),
          expected: values(goldens, `${name}.t.${t}.${branch}`),
        });
      }
    }
  }
  const negative = await evaluate(
    await fieldOf(draw, goldens, "text", goldens.json.negative.prompt),
    0.5,
  );
  compared.push({
    stage: "a negative prompt, t = 0.5",
    actual: negative.subarray(negative.length / 2),
    expected: values(goldens, "negative.t.0.5.uncond"),
  });
  return compared;
}

// In the order in which the family keeps them.
const ROWS = [
  ["text", ["cond", "uncond"]],
  ["edit", ["cond", "imageCond", "uncond"]],
  ["two", ["cond", "imageCond", "uncond"]],
] as const;

async function fieldOf(
  draw: Stages["draw"],
  goldens: OmniGenGoldens,
  name: string,
  negativePrompt?: string,
): Promise<Field> {
  if (draw === undefined) throw new Error("OmniGen draws");
  const { prompt, images } = caseOf(goldens, name);
  const { width, height } = goldens.json;
  const request: DrawRequest = {
    ...draw.defaults(images),
    prompt,
    images,
    width,
    height,
    seed: 0,
    count: 1,
    ...(negativePrompt === undefined ? {} : { negativePrompt }),
  };
  const drawing = await draw.prepare(request);
  if (!(drawing instanceof FlowDrawing)) throw new Error("OmniGen draws by a flow");
  return drawing.parts.field;
}

/** Prompt and pictures of a golden case. */
export function caseOf(
  { json, photos }: OmniGenGoldens,
  name: string,
): { readonly prompt: string; readonly images: readonly Pixels[] } {
  const found = json.cases[name];
  if (found === undefined) throw new Error(`goldens have no case ${name}`);
  return { prompt: found.prompt, images: found.photos.flatMap((k) => photos[k] ?? []) };
}

/** Latents and pixels of a whole run from the golden seed. */
export async function compareRun(
  stages: Stages,
  goldens: OmniGenGoldens,
  { name, case: caseName, steps, guidance, imageGuidance }: GoldenRun,
): Promise<{ readonly latents: Compared; readonly pixels: Compared }> {
  const { width, height, seed } = goldens.json;
  const { latents, pictures } = await finish(
    drawImages(stages, {
      ...caseOf(goldens, caseName),
      width,
      height,
      steps,
      guidance,
      ...(imageGuidance === undefined ? {} : { imageGuidance }),
      seed,
      count: 1,
      previewEvery: 0,
    }),
  );
  return {
    latents: {
      stage: `${name}, latents`,
      actual: latents,
      expected: values(goldens, `${name}.latents`),
    },
    pixels: {
      stage: `${name}, pixels`,
      actual: rgbOf(pictures[0]),
      expected: values(goldens, `${name}.pixels`),
    },
  };
}
