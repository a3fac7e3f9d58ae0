// What make.py wrote for a Nexus-Gen checkpoint, and how tests ask for it.
import type { Message } from "../../src/base/requests.ts";
import type { Pixels } from "../../src/base/pixels.ts";
import { known, messagesWith } from "../support/golden-values.ts";
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
  return messagesWith(messages, { tag: IMAGE, photos, all: goldens.photos });
}

/** A golden photo. */
export function photoOf({ photos }: NexusGenGoldens, index: number): Pixels {
  return known(photos[index], `photo ${index}`);
}

/** A conversation by its name. */
export function understandCase({ json }: NexusGenGoldens, name: string): UnderstandCase {
  return known(json.understand[name], name);
}
