// What make.py wrote for a Nexus-Gen checkpoint, and how tests ask for it.
import type { ContentPart, Message } from "../../src/base/requests.ts";
import type { Pixels } from "../../src/base/pixels.ts";
import type { GoldenTensors } from "../support/safetensors-file.ts";

/** What make.py wrote beside the tensors. */
export interface NexusGenGoldens {
  readonly tensors: GoldenTensors;
  readonly photos: readonly Pixels[];
  readonly json: {
    readonly understand: Readonly<Record<string, UnderstandCase>>;
    readonly draw: {
      readonly prompt: string;
      readonly ids: readonly number[];
      readonly afterIds: readonly number[];
    };
    readonly edit: {
      readonly instruction: string;
      readonly ids: readonly number[];
      readonly afterIds: readonly number[];
    };
    readonly width: number;
    readonly height: number;
    readonly steps: number;
    readonly guidance: number;
    readonly noiseSeed: number;
    readonly sigmas: readonly number[];
  };
}

/** A conversation and its answer. */
export interface UnderstandCase {
  readonly messages: readonly { role: Message["role"]; content: string }[];
  readonly photos: readonly number[];
  readonly inputIds: readonly number[];
  readonly answerIds: readonly number[];
}

const IMAGE = "<|vision_start|><|image_pad|><|vision_end|>";

/** The golden conversation as messages. */
export function goldenMessages(goldens: NexusGenGoldens, name: string): Message[] {
  const { messages, photos } = understandCase(goldens, name);
  let photo = 0;
  const nextPhoto = (): ContentPart => {
    const image = goldens.photos[photos[photo++] ?? -1];
    if (image === undefined) throw new Error(`case ${name} has no photo ${photo - 1}`);
    return { type: "image", image };
  };
  return messages.map(({ role, content }) => ({
    role,
    content: content
      .split(IMAGE)
      .flatMap((text, index): ContentPart[] => [
        ...(index === 0 ? [] : [nextPhoto()]),
        ...(text === "" ? [] : [{ type: "text" as const, text }]),
      ]),
  }));
}

/** A golden photo. */
export function photoOf({ photos }: NexusGenGoldens, index: number): Pixels {
  const photo = photos[index];
  if (photo === undefined) throw new Error(`there is no photo ${index}`);
  return photo;
}

/** A conversation by its name. */
export function understandCase({ json }: NexusGenGoldens, name: string): UnderstandCase {
  const found = json.understand[name];
  if (found === undefined) throw new Error(`there is no case ${name}`);
  return found;
}

/** Numbers of a golden tensor. */
export function values(
  { tensors }: NexusGenGoldens,
  name: string,
): Float32Array | Int32Array | Uint8Array {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`goldens have no ${name}`);
  return tensor.values;
}
