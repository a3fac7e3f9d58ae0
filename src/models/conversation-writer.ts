// Answers from a core that reads text and pictures in one sequence of embeddings.
import type { Pixels } from "../base/pixels.ts";
import type { Runtime, Session, Tensor } from "../session/runtime.ts";
import { promptLength, type PromptPart } from "./prompt-parts.ts";
import type { WrittenPrompt } from "./family.ts";
import type { GrowingCore } from "./growing-core.ts";
import { writeEmbeddings, type EmbeddingPart } from "./prompt-embeddings.ts";
import { answerRoom } from "./request-limits.ts";

/** What a conversation is written with; all of it stays the caller's. */
export interface ConversationParts {
  readonly core: GrowingCore;
  /** One input `ids` i32 [1, S], one output `embeddings` [1, S, hidden]. */
  readonly embed: Session;
  /** Features of a picture [1, pictureSlots, hidden] in the runtime's float type; disposed here. */
  readonly see: (picture: Pixels) => Promise<Tensor>;
  readonly pictureSlots: number;
  readonly hiddenSize: number;
  readonly maxPositions: number;
}

/** What a prefill is asked for. */
export interface ConversationRequest {
  readonly maxTokens: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Brings a conversation to the core.
 *
 * @throws RangeError when it alone fills the model's context; the signal's reason
 */
export async function prefillConversation(
  runtime: Runtime,
  parts: readonly PromptPart[],
  stage: ConversationParts,
  { maxTokens, signal }: ConversationRequest,
): Promise<WrittenPrompt> {
  const { maxPositions, hiddenSize } = stage;
  const length = promptLength(parts, stage.pictureSlots);
  const room = answerRoom({ length, maxTokens, maxPositions });
  const core = await stage.core.open(length + room);
  const embeddings = runtime.createTensor(runtime.float, [1, length, hiddenSize]);
  const seen: Tensor[] = [];
  try {
    const pieces = await seePictures(parts, stage, seen, signal);
    await writeEmbeddings(runtime, stage.embed, pieces, { tensor: embeddings, signal });
    signal?.throwIfAborted();
    await core.prefill(embeddings);
  } finally {
    for (const tensor of [embeddings, ...seen]) tensor.dispose();
  }
  return { promptTokens: length, room, core };
}

async function seePictures(
  parts: readonly PromptPart[],
  { see }: ConversationParts,
  seen: Tensor[],
  signal: AbortSignal | undefined,
): Promise<EmbeddingPart[]> {
  const pieces: EmbeddingPart[] = [];
  for (const part of parts) {
    signal?.throwIfAborted();
    if (part.kind === "ids") {
      pieces.push(part);
      continue;
    }
    const features = await see(part.pixels);
    seen.push(features);
    pieces.push({ kind: "features", features });
  }
  return pieces;
}
