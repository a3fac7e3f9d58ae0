// What the laws and the rigs ask of a family: the same small requests, whatever it is made of.
import type { ConverseResult, DrawResult, RunEvent, TextResult } from "../../src/base/events.ts";
import type { Pixels } from "../../src/base/pixels.ts";
import type {
  Capabilities,
  ConverseRequest,
  EditRequest,
  TextRequest,
} from "../../src/base/requests.ts";
import type { LoadedModel } from "../../src/engine/engine.ts";
import type { Stages } from "../../src/models/family.ts";
import type { Runtime } from "../../src/session/runtime.ts";
import { converse } from "../../src/tasks/converse.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import { generateText } from "../../src/tasks/generate-text.ts";

/** A family on a backend. */
export interface FamilySubject {
  readonly name: string;
  /**
   * @param memoryBudgetBytes - stages that do not fit together take turns
   * @param change - puts another runtime in place of the one that is opened on
   */
  open: (
    memoryBudgetBytes?: number,
    change?: (runtime: Runtime) => Runtime,
  ) => Promise<LoadedModel>;
  /** What the checkpoint can do; default: write and draw. */
  readonly can?: Capabilities;
  /** Steps of the laws' drawings, default 3; those of the model where it has a fixed number. */
  readonly steps?: number;
  /** Size of the laws' drawings, for families that draw any: one that a test can wait for. */
  readonly size?: Pick<EditRequest, "width" | "height">;
  /** A seed whose answer to {@link ASKED} holds a picture, where answers may. */
  readonly pictureSeed?: number;
  /** Weights of every stage that computes; absent: the law about them is not asked here. */
  readonly poisons?: readonly Poison[];
}

/** What a model is asked for: a picture, one from a picture, an answer, one about a picture, one that holds one. */
export type Task = "draw" | "edit" | "write" | "see" | "converse";

/** A weight that is broken when the model is opened, and what has to come of it. */
export interface Poison {
  readonly stage: string;
  /** Its name in the store. */
  readonly part: string;
  /** What all of its numbers are; default NaN. */
  readonly value?: number;
  /**
   * Tasks whose result it reaches, and the place that their error names. It reaches no other: they give what
   * they give without it.
   */
  readonly breaks: Readonly<Partial<Record<Task, Place>>>;
  /** The first step or vector that it reaches; default 1. */
  readonly from?: number;
}

/** A detail of an error: the step or token, the vector, embedding or code, the pixel, or all pixels. */
export type Place = "step" | "vector" | "embedding" | "code" | "x" | "pixels";

/** Families that write and draw, and no more. */
export const WRITES_AND_DRAWS: Capabilities = {
  generateText: true,
  generateImage: true,
  editImage: false,
  converse: false,
};

const DRAW: EditRequest = { prompt: "a red fox", seed: 5, count: 1, previewEvery: 0, images: [] };

/** The question of every law. */
export const ASKED: TextRequest = {
  messages: [{ role: "user", content: [{ type: "text", text: "What is a fox?" }] }],
  maxTokens: 6,
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 0,
};

type Call<Request, Result> = (change?: Partial<Request>, signal?: AbortSignal) => Promise<Result>;

/** The calls that the laws are about. */
export interface Calls {
  readonly draw: Call<EditRequest, DrawResult>;
  readonly write: Call<TextRequest, TextResult>;
  readonly answer: Call<ConverseRequest, ConverseResult>;
}

/** The drawing that the laws ask this family for. */
export function drawingOf({
  steps = 3,
  size = {},
}: FamilySubject): EditRequest & { steps: number } {
  return { ...DRAW, ...size, steps };
}

/** Calls whose events nobody hears. */
export function callsOn(stages: () => Stages, subject: FamilySubject): Calls {
  const asked = drawingOf(subject);
  const { steps } = asked;
  return {
    draw: (change, signal) => finish(drawImages(stages(), { ...asked, ...change }, signal)),
    write: (change, signal) => finish(generateText(stages(), { ...ASKED, ...change }, signal)),
    answer: (change, signal) =>
      finish(converse(stages(), { ...ASKED, previewEvery: 0, steps, ...change }, signal)),
  };
}

/** Tasks that a family can do, with what each yields and gives. */
export function tasksOf(
  subject: FamilySubject,
): ReadonlyMap<Task, (stages: Stages) => AsyncGenerator<RunEvent, unknown>> {
  const { can = WRITES_AND_DRAWS, pictureSeed } = subject;
  const drawing = { ...drawingOf(subject), previewEvery: 1 };
  const images = [checkered(40)];
  const tasks = new Map<Task, (stages: Stages) => AsyncGenerator<RunEvent, unknown>>();
  if (can.generateImage) tasks.set("draw", (stages) => drawImages(stages, drawing));
  if (can.editImage) tasks.set("edit", (stages) => drawImages(stages, { ...drawing, images }));
  if (can.generateText) {
    tasks.set("write", (stages) => generateText(stages, ASKED));
    tasks.set("see", (stages) => generateText(stages, { ...ASKED, messages: [pictured(images)] }));
  }
  if (can.converse && pictureSeed !== undefined) {
    const { steps } = drawing;
    const asked = { ...ASKED, temperature: 1, maxTokens: 8, seed: pictureSeed };
    tasks.set("converse", (stages) => converse(stages, { ...asked, steps, previewEvery: 0 }));
  }
  return tasks;
}

/** A result without its times, to be compared. */
export function withoutTimes(result: unknown): unknown {
  const { timings, usage, ...rest } = result as Record<string, unknown>;
  void timings;
  void usage;
  return rest;
}

/** A picture of 24 x 16 pixels in squares of this brightness and black. */
export function checkered(brightness: number): Pixels {
  const [width, height] = [24, 16];
  const data = new Uint8ClampedArray(width * height * 4);
  for (let place = 0; place < width * height; place++) {
    const isLight = (Math.floor((place % width) / 4) + Math.floor(place / width / 4)) % 2 === 0;
    data.set([isLight ? brightness : 0, brightness, isLight ? 255 : 0, 255], 4 * place);
  }
  return { width, height, data };
}

/** Runs a task to its end. */
export async function finish<Event, Result>(task: AsyncGenerator<Event, Result>): Promise<Result> {
  let next = await task.next();
  while (!next.done) next = await task.next();
  return next.value;
}

function pictured(images: readonly Pixels[]): TextRequest["messages"][number] {
  return {
    role: "user",
    content: [
      ...images.map((image) => ({ type: "image" as const, image })),
      { type: "text", text: "What is a fox?" },
    ],
  };
}
