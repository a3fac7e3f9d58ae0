// The four things a model can be asked for: how options are checked, how they become a request, and how the
// engine's answer becomes the application's. Pictures are decoded here, before they cross to the worker.
import { assert } from "../base/assert.ts";
import {
  checkConverseOptions,
  checkEditOptions,
  checkImageOptions,
  checkTextOptions,
} from "../base/check-options.ts";
import type { CheckedMessage } from "../base/check-options.ts";
import { withoutUndefined } from "../base/check-values.ts";
import type { RunEvent, TaskResult, TextDeltaEvent, TextResult } from "../base/events.ts";
import { importPart } from "../base/import-part.ts";
import type {
  ContentPartInput,
  ConverseOptions,
  EditImageOptions,
  GenerateImageOptions,
  GenerateTextOptions,
  ImageInput,
} from "../base/options.ts";
import type { Pixels } from "../base/pixels.ts";
import type {
  ContentPart,
  ImageRequest,
  Message,
  TaskName,
  TaskRequest,
} from "../base/requests.ts";
import { VERSION } from "../base/version.ts";
import { GeneratedImage } from "../pixels/image-output.ts";
import type { ConverseEvent, ConverseOutput, DrawEvent, DrawOutput } from "./outputs.ts";

/** A call whose options are right. */
export interface Call<Result, Event> {
  /** Decodes pictures. @throws ModelError, TypeError or RangeError for what cannot be read as a picture */
  prepare(signal?: AbortSignal): Promise<TaskRequest>;
  /** The application's event for an event of the engine; undefined for one that this call does not have. */
  toEvent(event: RunEvent): Event | undefined;
  toResult(result: TaskResult): Result;
}

/** One method of a model. */
export interface CallKind<Options, Result, Event> {
  readonly task: TaskName;
  /**
   * @param model - what the model was loaded from; pictures tell it
   * @throws TypeError or RangeError for options that make no sense
   */
  check(options: Options, model: string): Call<Result, Event>;
}

/** `model.generateText` */
export const generateTextCall: CallKind<GenerateTextOptions, TextResult, TextDeltaEvent> = {
  task: "generateText",
  check(options) {
    const { messages, ...sampling } = checkTextOptions(options);
    return {
      prepare: async (signal) => ({
        task: "generateText",
        request: { messages: await decodeMessages(messages, signal), ...sampling },
      }),
      toEvent: (event) => (event.type === "text-delta" ? event : undefined),
      toResult(result) {
        assert("text" in result, "generateText gives a text");
        return result;
      },
    };
  },
};

/** `model.generateImage` */
export const generateImageCall: CallKind<GenerateImageOptions, DrawOutput, DrawEvent> = {
  task: "generateImage",
  check(options, model) {
    const request = checkImageOptions(options);
    return {
      prepare: async () => ({ task: "generateImage", request }),
      ...drawing(request, model),
    };
  },
};

/** `model.editImage` */
export const editImageCall: CallKind<EditImageOptions, DrawOutput, DrawEvent> = {
  task: "editImage",
  check(options, model) {
    const { images, ...request } = checkEditOptions(options);
    return {
      prepare: async (signal) => {
        const pictures = images.map((image) => decode(image, signal));
        return { task: "editImage", request: { ...request, images: await Promise.all(pictures) } };
      },
      ...drawing(request, model),
    };
  },
};

/** `model.converse` */
export const converseCall: CallKind<ConverseOptions, ConverseOutput, ConverseEvent> = {
  task: "converse",
  check(options, model) {
    const { messages, ...rest } = checkConverseOptions(options);
    const origin = { prompt: lastText(messages), seed: rest.seed, model, versions: VERSIONS };
    return {
      prepare: async (signal) => ({
        task: "converse",
        request: { messages: await decodeMessages(messages, signal), ...rest },
      }),
      toEvent: (event) => event,
      toResult(result) {
        assert("parts" in result, "converse gives parts");
        const parts = result.parts.map((part) => {
          if (part.type === "text") return part;
          const { type, pixels, ...made } = part;
          return { type, image: new GeneratedImage(pixels, { ...origin, ...made }) };
        });
        return { parts, usage: result.usage };
      },
    };
  },
};

const VERSIONS = { "web-umm": VERSION };

function drawing(
  { prompt, negativePrompt }: Pick<ImageRequest, "prompt" | "negativePrompt">,
  model: string,
): Pick<Call<DrawOutput, DrawEvent>, "toEvent" | "toResult"> {
  const asked = { prompt, ...withoutUndefined({ negativePrompt }), model, versions: VERSIONS };
  return {
    toEvent: (event) => (event.type === "text-delta" ? undefined : event),
    toResult(result) {
      assert("pictures" in result, "drawing gives pictures");
      const { pictures, ...made } = result;
      const { seed, steps, guidance } = made;
      const images = pictures.map(
        (pixels, image) => new GeneratedImage(pixels, { ...asked, seed, steps, guidance, image }),
      );
      return { images, ...made };
    },
  };
}

/** What the answer is to: the last text that was said. */
function lastText(messages: readonly CheckedMessage[]): string {
  const parts = messages.flatMap(({ content }) => content);
  const last = parts.findLast((part) => part.type === "text");
  return last?.type === "text" ? last.text : "";
}

async function decodeMessages(
  messages: readonly CheckedMessage[],
  signal?: AbortSignal,
): Promise<Message[]> {
  const decodePart = async (part: ContentPartInput): Promise<ContentPart> =>
    part.type === "text" ? part : { type: "image", image: await decode(part.image, signal) };
  return Promise.all(
    messages.map(async ({ role, content }) => ({
      role,
      content: await Promise.all(content.map(decodePart)),
    })),
  );
}

// Fetched when a picture is handed in: most of a page's calls have none.
async function decode(image: ImageInput, signal?: AbortSignal): Promise<Pixels> {
  const { decodeImage } = await importPart(
    "the decoder of pictures",
    () => import("../pixels/decode-image.ts"),
  );
  return decodeImage(image, signal ? { signal } : {});
}
