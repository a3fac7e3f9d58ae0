// The score's page: draws and answers one item at a time with the library and judges it. test/score/run.mjs
// opens it and counts.
import { loadModel } from "web-umm";
import type { BackendKind, Model, Quantization } from "web-umm";
import { checkDrawing, showsExactly } from "./check-drawing.ts";
import type { DrawingSpec, PlacedObject } from "./check-drawing.ts";
import { SIZE } from "./detector.ts";

/** Which model, and how it computes. */
export interface ScoreRequest {
  /** Folder of the checkpoint, relative to the page. */
  readonly modelUrl: string;
  /** Folder of the set: questions.png and edits.png hold all pictures of the items. */
  readonly setUrl: string;
  readonly backend: BackendKind;
  readonly quantization: Quantization;
  readonly numbers: ScoreNumbers;
}

/** What the reference drew and edited with; absent = the family's own. */
export interface ScoreNumbers {
  readonly draws: Numbers;
  readonly edits: Numbers;
}

type Numbers = Partial<Record<"steps" | "guidance" | "imageGuidance", number>>;

/** An entry of prompts.json. */
export interface PromptItem {
  readonly task: string;
  readonly prompt: string;
  /** torch's. */
  readonly seed: number;
  readonly spec: DrawingSpec;
}

/** An entry of questions.json. */
export interface QuestionItem {
  readonly kind: string;
  readonly question: string;
  /** All that count as right. */
  readonly answers: readonly string[];
  /** Place of its picture in the sheet, row by row. */
  readonly image: number;
}

/** An entry of edits.json. */
export interface EditItem {
  readonly kind: string;
  readonly prompt: string;
  readonly seed: number;
  /** Place of its picture in the sheet, row by row. */
  readonly image: number;
  /** All that the edited picture must show, each less than `within` pixels off its place. */
  readonly objects: readonly PlacedObject[];
  readonly within: number;
}

/** What the runner calls. */
export interface Scorer {
  /** What computes. */
  readonly device: string;
  /** True when the drawing is what the prompt asks for. */
  draw(item: PromptItem): Promise<boolean>;
  /** True when the answer is one of the right ones. */
  answer(item: QuestionItem): Promise<boolean>;
  /** True when the picture changed as asked, and nothing else did. */
  edit(item: EditItem): Promise<boolean>;
}

declare global {
  /** Loads the model; called once by the runner. */
  var openScorer: ((request: ScoreRequest) => Promise<Scorer>) | undefined;
  /** What the last call of `openScorer` gave. */
  var scorer: Scorer | undefined;
}

/** Longest answer, in tokens: a caption of three kinds of objects has 11 words. */
const MAX_TOKENS = 32;

globalThis.openScorer = openScorer;

async function openScorer(request: ScoreRequest): Promise<Scorer> {
  const { modelUrl, setUrl, backend, quantization } = request;
  const numbers = { draws: given(request.numbers.draws), edits: given(request.numbers.edits) };
  const model = await loadModel(new URL(modelUrl, document.baseURI), { backend, quantization });
  const sheet = (name: string): Promise<Sheet> =>
    readSheet(new URL(setUrl + name, document.baseURI));
  let questions: Promise<Sheet> | undefined;
  let edits: Promise<Sheet> | undefined;
  globalThis.scorer = {
    device: model.info.device,
    async draw({ prompt, seed, spec }) {
      const { images } = await model.generateImage({ prompt, seed, ...numbers.draws });
      return images.every(({ imageData }) => checkDrawing(imageData.data, spec));
    },
    async answer({ question, answers, image }) {
      const text = await ask(
        model,
        tileOf(await (questions ??= sheet("questions.png")), image),
        question,
      );
      return answers.includes(text.trim());
    },
    async edit({ prompt, seed, image, objects, within }) {
      const before = tileOf(await (edits ??= sheet("edits.png")), image);
      const { images } = await model.editImage({
        prompt,
        seed,
        images: [before],
        ...numbers.edits,
      });
      return images.every(({ imageData }) => showsExactly(imageData.data, objects, within));
    },
  };
  return globalThis.scorer;
}

/** Without the numbers that are absent. */
function given(numbers: Numbers): Numbers {
  return Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined));
}

type Sheet = OffscreenCanvasRenderingContext2D;

async function ask(model: Model, image: ImageData, text: string): Promise<string> {
  const content = [{ type: "image", image } as const, { type: "text", text } as const];
  const messages = [{ role: "user", content } as const];
  const answer = await model.generateText({ messages, maxTokens: MAX_TOKENS });
  return answer.text;
}

async function readSheet(url: URL): Promise<Sheet> {
  const answer = await fetch(url);
  const bitmap = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", {
    willReadFrequently: true,
  });
  if (!context) throw new Error("This browser has no 2D canvas.");
  context.drawImage(bitmap, 0, 0);
  return context;
}

function tileOf(sheet: Sheet, index: number): ImageData {
  const columns = sheet.canvas.width / SIZE;
  const row = Math.floor(index / columns);
  return sheet.getImageData((index % columns) * SIZE, row * SIZE, SIZE, SIZE);
}
