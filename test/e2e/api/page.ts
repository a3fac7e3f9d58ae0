// An application without a user interface: the e2e tests call the public API through it.
import * as webUmm from "web-umm";
import type { ConverseOptions, LoadOptions, Model, ModelInfo } from "web-umm";

/** A picture as the tests hold it. */
export interface PlainPicture {
  readonly width: number;
  readonly height: number;
  /** RGBA. */
  readonly data: readonly number[];
}

/** A piece of a message that can cross from a test to its page. */
export type PlainPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly picture: PlainPicture };

/** One turn of a conversation. */
export interface PlainMessage {
  readonly role: "user" | "assistant";
  readonly content: readonly PlainPart[];
}

/** What a page of the tests can be asked for. */
export interface Application {
  load(url: string, options: LoadOptions): Promise<{ family: string; device: string }>;
  info(): ModelInfo;
  /** The answer's text. */
  describe(messages: readonly PlainMessage[]): Promise<string>;
  draw(prompt: string, numbers: object): Promise<PlainPicture>;
  edit(prompt: string, picture: PlainPicture, numbers: object): Promise<PlainPicture>;
  /** The answer's parts in order. */
  converse(messages: readonly PlainMessage[], numbers: object): Promise<PlainPart[]>;
}

declare global {
  var application: Application | undefined;
}

/** Longest answer, in tokens: a caption of three kinds of objects has 11 words. */
const MAX_TOKENS = 40;

let model: Model | undefined;

globalThis.application = {
  async load(url, options) {
    await model?.dispose();
    model = await webUmm.loadModel(new URL(url, document.baseURI), options);
    return { family: model.family, device: model.info.device };
  },
  info: () => loaded().info,
  async describe(messages) {
    const { text } = await loaded().generateText({
      messages: messagesOf(messages),
      maxTokens: MAX_TOKENS,
    });
    return text.trim();
  },
  async draw(prompt, numbers) {
    const { images } = await loaded().generateImage({ prompt, ...numbers });
    return plain(images[0]?.imageData);
  },
  async edit(prompt, picture, numbers) {
    const { images } = await loaded().editImage({
      prompt,
      images: [imageData(picture)],
      ...numbers,
    });
    return plain(images[0]?.imageData);
  },
  async converse(messages, numbers) {
    const { parts } = await loaded().converse({
      messages: messagesOf(messages),
      maxTokens: MAX_TOKENS,
      ...numbers,
    });
    return parts.map((part) =>
      part.type === "text"
        ? { type: "text", text: part.text.trim() }
        : { type: "image", picture: plain(part.image.imageData) },
    );
  },
};

function loaded(): Model {
  if (model === undefined) throw new Error("Nothing is loaded.");
  return model;
}

function messagesOf(messages: readonly PlainMessage[]): ConverseOptions["messages"] {
  return messages.map(({ role, content }) => ({
    role,
    content: content.map((part) =>
      part.type === "text" ? part : { type: "image", image: imageData(part.picture) },
    ),
  }));
}

function imageData({ data, width, height }: PlainPicture): ImageData {
  return new ImageData(Uint8ClampedArray.from(data), width, height);
}

function plain(picture: ImageData | undefined): PlainPicture {
  if (picture === undefined) throw new Error("No picture came back.");
  return { width: picture.width, height: picture.height, data: [...picture.data] };
}
