// The autoregressive loop of vectors: what comes out goes in again through a projection, no token in between.
// Knows an embedding to feed back and a decode step; knows nothing about pictures, models or onnxruntime.
// Everything stays on the device: one upload before the first step, and nothing is read back.
import { present } from "../base/assert.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";

/** A core whose cache is filled: what the loop needs of it. */
export interface EmbeddingCore {
  /** [1, 1, hidden]: what the next step reads. */
  readonly embedding: Tensor;
  /** [1, 1, hidden]: the newest vector as an embedding; written by every step. */
  readonly next: Tensor;
  /** [1, 1, width]: the newest vector; written by every step. */
  readonly vector: Tensor;
  /** Slots of the cache that are filled. */
  readonly length: number;
  /** i32 [2]: place of the slot that the next step fills, and the number of slots with it. */
  readonly place: readonly [lastIndex: Tensor, total: Tensor];
  /** Runs one embedding through the core; returns when the work is queued. */
  decode(): Promise<void>;
}

/** How a sequence begins and where it goes. */
export interface GenerateEmbeddingsOptions {
  /** [1, 1, hidden]: what the first step reads. */
  readonly begin: Tensor;
  /** [1, count, width]: receives one vector from every step. */
  readonly vectors: Tensor;
  readonly signal?: AbortSignal | undefined;
}

/** Steps that may be queued beyond the last one known to be finished. */
const STEPS_IN_FLIGHT = 2;
const BYTES = 4;

/**
 * Emits one vector after the other, until `vectors` is full.
 *
 * @throws the signal's reason, at most one step after it fires
 */
export async function generateEmbeddings(
  runtime: Runtime,
  core: EmbeddingCore,
  { begin, vectors, signal }: GenerateEmbeddingsOptions,
): Promise<void> {
  const count = present(vectors.shape[1], "count");
  const first = core.length;
  // Row k: the length before and behind step k.
  const lengths = Int32Array.from({ length: count + 1 }, (_, step) => first + step);
  const places = runtime.createTensor("i32", [count + 1], lengths);
  const [lastIndex, total] = core.place;
  const bytes = core.vector.byteLength;
  const fences: Promise<void>[] = [];
  try {
    runtime.copy(begin, core.embedding);
    for (let step = 0; step < count; step++) {
      signal?.throwIfAborted();
      runtime.copy(places, lastIndex, { sourceOffset: step * BYTES, bytes: BYTES });
      runtime.copy(places, total, { sourceOffset: (step + 1) * BYTES, bytes: BYTES });
      await core.decode();
      runtime.copy(core.vector, vectors, { targetOffset: step * bytes, bytes });
      runtime.copy(core.next, core.embedding);
      fences.push(runtime.fence());
      await fences[step - STEPS_IN_FLIGHT + 1];
    }
    await fences.at(-1);
    signal?.throwIfAborted();
  } finally {
    places.dispose();
  }
}
