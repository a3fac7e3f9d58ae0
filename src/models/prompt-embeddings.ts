// A prompt of text and pictures as the core reads it: embeddings of ids and features of pictures, one behind
// the other on the device.
import { present } from "../base/assert.ts";
import type { Runtime, Session, Tensor } from "../session/runtime.ts";

/** What the core reads, in order: ids, or features [1, slots, hidden] in the runtime's float type. */
export type EmbeddingPart =
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "features"; readonly features: Tensor };

/** Where embeddings are written. */
export interface EmbeddingTarget {
  /** [rows, slots, hidden] in the runtime's float type. */
  readonly tensor: Tensor;
  /** Bytes; default 0. */
  readonly offset?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the parts of one prompt behind each other. Features stay the caller's.
 *
 * @param embed - a graph with one input `ids` i32 [1, S] and one output `embeddings` [1, S, hidden]
 * @throws the signal's reason between two parts
 */
export async function writeEmbeddings(
  runtime: Runtime,
  embed: Session,
  parts: readonly EmbeddingPart[],
  { tensor, offset = 0, signal }: EmbeddingTarget,
): Promise<void> {
  let targetOffset = offset;
  for (const part of parts) {
    signal?.throwIfAborted();
    if (part.kind === "ids" && part.ids.length === 0) continue;
    const piece = part.kind === "ids" ? await embedIds(runtime, embed, part.ids) : part.features;
    runtime.copy(piece, tensor, { targetOffset, bytes: piece.byteLength });
    targetOffset += piece.byteLength;
    if (part.kind === "ids") piece.dispose();
  }
}

/** Rows of a table on the device, [1, ids, hidden]; the caller's. */
export async function embedIds(
  runtime: Runtime,
  embed: Session,
  ids: readonly number[],
): Promise<Tensor> {
  const input = runtime.createTensor("i32", [1, ids.length], Int32Array.from(ids));
  const { embeddings } = await embed.run({ ids: input });
  input.dispose();
  return present(embeddings, "embeddings");
}
