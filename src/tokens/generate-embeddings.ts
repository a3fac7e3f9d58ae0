// The autoregressive loop of vectors: what comes out goes in again, no token in between. Knows a vector to feed
// back and a decode step; knows nothing about pictures, models or onnxruntime. Everything stays on the device: one
// upload before the first step, and behind the last one a read back of 8 bytes: which vector was the first to break.
import { present } from "../base/assert.ts";
import { brokenNumbers } from "../base/numerics.ts";
import { firstBroken } from "../session/first-broken.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";

/** A core whose cache is filled: what the loop needs of it. */
export interface EmbeddingCore {
  /** [1, 1, width]: what the next step reads. */
  readonly previous: Tensor;
  /** [1, 1, width]: the newest vector; filled by the prefill, then by every step. */
  readonly vector: Tensor;
  /** Slots of the cache that the prefill has filled. */
  readonly length: number;
  /** i32 [1] each: place of the slot that the next step fills, and the number of slots with it. */
  readonly place: readonly [lastIndex: Tensor, total: Tensor];
  /** Runs one vector through the core; returns when the work is queued. */
  decode(): Promise<void>;
}

/** Where a sequence goes. */
export interface GenerateEmbeddingsOptions {
  /** [1, count, width]: receives the prefill's vector and one from every step. */
  readonly vectors: Tensor;
  readonly signal?: AbortSignal | undefined;
}

/** Steps that may be queued beyond the last one known to be finished. */
const STEPS_IN_FLIGHT = 2;
const BYTES = 4;

/**
 * Emits one vector after the other, until `vectors` is full.
 *
 * @throws the signal's reason, at most one step after it fires; ModelError numerics with the number of the first
 * vector that holds no numbers
 */
export async function generateEmbeddings(
  runtime: Runtime,
  core: EmbeddingCore,
  { vectors, signal }: GenerateEmbeddingsOptions,
): Promise<void> {
  const count = present(vectors.shape[1], "count");
  // Row k: the length before and behind the step that emits vector k + 1.
  const lengths = Int32Array.from({ length: count + 1 }, (_, step) => core.length + step);
  const places = runtime.createTensor("i32", [count + 1], lengths);
  const [lastIndex, total] = core.place;
  const bytes = core.vector.byteLength;
  const fences: Promise<void>[] = [];
  const step = async (index: number): Promise<void> => {
    runtime.copy(places, lastIndex, { sourceOffset: (index - 1) * BYTES, bytes: BYTES });
    runtime.copy(places, total, { sourceOffset: index * BYTES, bytes: BYTES });
    runtime.copy(core.vector, core.previous);
    await core.decode();
  };
  try {
    for (let index = 0; index < count; index++) {
      signal?.throwIfAborted();
      if (index > 0) await step(index);
      runtime.copy(core.vector, vectors, { targetOffset: index * bytes, bytes });
      fences.push(runtime.fence());
      await fences[index - STEPS_IN_FLIGHT + 1];
    }
    signal?.throwIfAborted();
    await checkVectors(runtime, vectors);
    signal?.throwIfAborted();
  } finally {
    places.dispose();
  }
}

/** A broken vector breaks all that follow: the first one is why. */
async function checkVectors(runtime: Runtime, vectors: Tensor): Promise<void> {
  const [, count = 0, width = 1] = vectors.shape;
  const place = await firstBroken(runtime, vectors);
  if (place === undefined) return;
  const vector = Math.floor(place / width) + 1;
  throw brokenNumbers(`Vector ${vector} of ${count} holds what is no number`, { vector });
}
