// What a caller passes to a model's methods, checked and with the library's defaults filled in: a mistake
// is told at once, before any work. Pictures are still as they were handed in; whoever decodes them makes
// the requests of base/requests.ts out of the results. What is absent here is the family's default.
import { imageInputKind } from "./image-input.ts";
import {
  checkKeys,
  checkList,
  checkText,
  integerOption,
  numberOption,
  show,
  withoutUndefined,
  type Unchecked,
} from "./check-values.ts";
import type { ContentPartInput, ImageInput } from "./options.ts";
import type { ConverseRequest, EditRequest, ImageRequest, Role, TextRequest } from "./requests.ts";

/** One turn, its content always as parts; pictures are not decoded yet. */
export interface CheckedMessage {
  readonly role: Role;
  readonly content: readonly ContentPartInput[];
}

/** A {@link TextRequest} whose pictures are not decoded yet. */
export type CheckedText = Omit<TextRequest, "messages"> & {
  readonly messages: readonly CheckedMessage[];
};

/** An {@link EditRequest} whose pictures are not decoded yet. */
export type CheckedEdit = Omit<EditRequest, "images"> & { readonly images: readonly ImageInput[] };

/** A {@link ConverseRequest} whose pictures are not decoded yet. */
export type CheckedConverse = Omit<ConverseRequest, "messages"> & {
  readonly messages: readonly CheckedMessage[];
};

const MAX_SEED = Number.MAX_SAFE_INTEGER;
const MAX_STEPS = 1000;
const MAX_COUNT = 64;
/** More than the context of any model here. */
const MAX_TOKENS = 1_000_000;
const MAX_TEMPERATURE = 100;
const MAX_TOP_K = 1_000_000;
const MAX_SIDE_PIXELS = 8192;
const MAX_MESSAGES = 1000;
const MAX_PARTS = 100;
const MAX_EDIT_IMAGES = 16;
/** 256 MiB of float32: 64 pictures of 1024 pixels have 4.2 million values. */
const MAX_LATENT_VALUES = 64 * 2 ** 20;

const STEERING_KEYS = ["steps", "guidance", "previewEvery"] as const;
const SAMPLING_KEYS = ["maxTokens", "temperature", "topK", "topP", "seed"] as const;
const TEXT_KEYS = ["messages", ...SAMPLING_KEYS, "signal"];
const DRAWING_KEYS = ["prompt", "negativePrompt", "width", "height", "seed", "count", "latents"];
const IMAGE_KEYS = [...DRAWING_KEYS, ...STEERING_KEYS, "signal"];
const EDIT_KEYS = [...IMAGE_KEYS, "images", "imageGuidance"];
const CONVERSE_KEYS = [...TEXT_KEYS, ...STEERING_KEYS];
const ROLES: readonly Role[] = ["system", "user", "assistant"];

/**
 * Options of `generateText`; an absent seed is drawn at random.
 *
 * @throws TypeError for unknown names and wrong kinds, RangeError for values out of range
 */
export function checkTextOptions(options: unknown): CheckedText {
  const unchecked = checkKeys(options, TEXT_KEYS, "options of generateText");
  checkSignal(unchecked["signal"]);
  return { messages: checkMessages(unchecked["messages"]), ...checkSampling(unchecked) };
}

/**
 * Options of `generateImage`; an absent seed is drawn at random.
 *
 * @throws TypeError for unknown names and wrong kinds, RangeError for values out of range
 */
export function checkImageOptions(options: unknown): ImageRequest {
  return checkDrawing(checkKeys(options, IMAGE_KEYS, "options of generateImage"));
}

/**
 * Options of `editImage`; an absent seed is drawn at random.
 *
 * @throws TypeError for unknown names and wrong kinds, RangeError for values out of range
 */
export function checkEditOptions(options: unknown): CheckedEdit {
  const unchecked = checkKeys(options, EDIT_KEYS, "options of editImage");
  const images = checkList(unchecked["images"], MAX_EDIT_IMAGES, "images");
  const imageGuidance = numberOption(unchecked, "imageGuidance", { min: 0, max: 100 });
  return {
    ...checkDrawing(unchecked),
    images: images.map((image, index) => checkImage(image, `images[${index}]`)),
    ...withoutUndefined({ imageGuidance }),
  };
}

/**
 * Options of `converse`; an absent seed is drawn at random.
 *
 * @throws TypeError for unknown names and wrong kinds, RangeError for values out of range
 */
export function checkConverseOptions(options: unknown): CheckedConverse {
  const unchecked = checkKeys(options, CONVERSE_KEYS, "options of converse");
  checkSignal(unchecked["signal"]);
  return {
    messages: checkMessages(unchecked["messages"]),
    ...checkSampling(unchecked),
    ...checkSteering(unchecked),
  };
}

function checkDrawing(options: Unchecked): ImageRequest {
  checkSignal(options["signal"]);
  const prompt = checkText(options["prompt"], "prompt");
  const negative = options["negativePrompt"];
  const side = { min: 1, max: MAX_SIDE_PIXELS };
  const count = integerOption(options, "count", { min: 1, max: MAX_COUNT }) ?? 1;
  return {
    prompt,
    count,
    seed: checkSeed(options),
    ...checkSteering(options),
    ...withoutUndefined({
      negativePrompt: negative === undefined ? undefined : checkText(negative, "negativePrompt"),
      width: integerOption(options, "width", side),
      height: integerOption(options, "height", side),
      latents: checkLatents(options["latents"], count),
    }),
  };
}

function checkSampling(options: Unchecked): Omit<TextRequest, "messages"> {
  const topP = numberOption(options, "topP", { min: 0, max: 1 }) ?? 1;
  if (topP === 0) throw new RangeError("topP must be above 0 and at most 1, got 0.");
  return {
    maxTokens: integerOption(options, "maxTokens", { min: 1, max: MAX_TOKENS }) ?? 512,
    temperature: numberOption(options, "temperature", { min: 0, max: MAX_TEMPERATURE }) ?? 0,
    topK: integerOption(options, "topK", { min: 0, max: MAX_TOP_K }) ?? 0,
    topP,
    seed: checkSeed(options),
  };
}

function checkSteering(options: Unchecked): Pick<ConverseRequest, (typeof STEERING_KEYS)[number]> {
  return {
    previewEvery: integerOption(options, "previewEvery", { min: 0, max: MAX_STEPS }) ?? 0,
    ...withoutUndefined({
      steps: integerOption(options, "steps", { min: 1, max: MAX_STEPS }),
      guidance: numberOption(options, "guidance", { min: 0, max: 100 }),
    }),
  };
}

function checkSeed(options: Unchecked): number {
  const seed = integerOption(options, "seed", { min: -MAX_SEED, max: MAX_SEED });
  return seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  if (Object.prototype.toString.call(signal) === "[object AbortSignal]") return;
  throw new TypeError(`signal must be an AbortSignal, got ${show(signal)}.`);
}

function checkMessages(value: unknown): CheckedMessage[] {
  return checkList(value, MAX_MESSAGES, "messages").map((message, index) =>
    checkMessage(message, `messages[${index}]`),
  );
}

function checkMessage(value: unknown, place: string): CheckedMessage {
  const message = checkKeys(value, ["role", "content"], place);
  const role = ROLES.find((known) => known === message["role"]);
  if (role === undefined) {
    const seen = show(message["role"]);
    throw new TypeError(`${place}.role must be one of ${ROLES.join(", ")}, got ${seen}.`);
  }
  return { role, content: checkContent(message["content"], role, `${place}.content`) };
}

function checkContent(value: unknown, role: Role, place: string): ContentPartInput[] {
  if (typeof value !== "string") {
    const parts = checkList(value, MAX_PARTS, place);
    return parts.map((part, index) => checkPart(part, `${place}[${index}]`));
  }
  // an answer may have been empty, and is then part of the conversation; a question may not
  if (value === "" && role !== "assistant") throw new TypeError(`${place} must not be empty.`);
  return [{ type: "text", text: checkText(value, place) }];
}

function checkPart(value: unknown, place: string): ContentPartInput {
  const part = checkKeys(value, ["type", "text", "image"], place);
  switch (part["type"]) {
    case "text":
      checkKeys(value, ["type", "text"], `text part ${place}`);
      return { type: "text", text: checkText(part["text"], `${place}.text`) };
    case "image":
      checkKeys(value, ["type", "image"], `image part ${place}`);
      return { type: "image", image: checkImage(part["image"], `${place}.image`) };
    default:
      throw new TypeError(`${place}.type must be "text" or "image", got ${show(part["type"])}.`);
  }
}

/** Refuses what can be no picture; whether it really is one shows when it is decoded. */
function checkImage(value: unknown, place: string): ImageInput {
  if (imageInputKind(value) !== undefined && value !== "") return value as ImageInput;
  throw new TypeError(
    `${place} must be a Blob, File, ImageBitmap, ImageData, image or canvas element, ` +
      `OffscreenCanvas, VideoFrame, or the URL of a picture, got ${show(value)}.`,
  );
}

/** A copy: the caller's array may change while the call waits. */
function checkLatents(value: unknown, count: number): Float32Array<ArrayBuffer> | undefined {
  if (value === undefined) return undefined;
  if (Object.prototype.toString.call(value) !== "[object Float32Array]") {
    throw new TypeError(`latents must be a Float32Array, got ${show(value)}.`);
  }
  const given = value as Float32Array;
  if (given.length === 0 || given.length > MAX_LATENT_VALUES || given.length % count !== 0) {
    throw new RangeError(
      `latents must hold [count, channels, height, width] values: a multiple of count (${count}), ` +
        `at most ${MAX_LATENT_VALUES}; got ${given.length}.`,
    );
  }
  const latents = new Float32Array(given);
  const bad = latents.findIndex((number) => !Number.isFinite(number));
  if (bad >= 0) throw new RangeError(`latents must be finite, got ${latents[bad]} at ${bad}.`);
  return latents;
}
