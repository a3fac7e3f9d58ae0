// An installed model back out of the store: tensor by tensor, each byte checked before it is handed out.
import { present } from "../base/assert.ts";
import type { LoadProgress } from "../base/events.ts";
import type { StoredPart } from "../base/weight-declaration.ts";
import { allocate } from "./allocate.ts";
import type { StoredTensor } from "./layout.ts";
import { partBytes } from "./layout.ts";
import type { Manifest } from "./manifest.ts";
import { createPace } from "./pace.ts";
import type { WeightStore } from "./weight-store.ts";

/** One stored part with its bytes, which are the receiver's to keep. */
export interface LoadedPart extends StoredPart {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Options of {@link readTensors}. */
export interface ReadTensorsOptions {
  /** Names of the parts to read; all when absent. */
  readonly names?: ReadonlySet<string> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/**
 * Reads stored parts in stream order. Shards that hold none of them are not touched, others are read once.
 * Holds one shard, the next one that is being read, and the parts that are not complete yet.
 *
 * @throws ModelError weights-corrupt with `details.shards`: hand them to `repairShards` and read again
 */
export async function* readTensors(
  store: WeightStore,
  manifest: Manifest,
  { names, signal, onProgress }: ReadTensorsOptions = {},
): AsyncGenerator<LoadedPart> {
  const tensors = manifest.tensors.filter(({ name }) => names?.has(name) ?? true);
  const wanted = shardsOf(tensors);
  const bytes = wanted.reduce((sum, shard) => sum + (manifest.shards[shard]?.bytes ?? 0), 0);
  const pace = createPace({ phase: "read", totalBytes: bytes, onProgress });
  const read = (shard: number | undefined): Promise<Uint8Array<ArrayBuffer>> | undefined => {
    const ref = shard === undefined ? undefined : manifest.shards[shard];
    const content = ref && store.get(ref);
    content?.catch(() => undefined); // It is awaited in its turn.
    return content;
  };
  const open = tensors.map((tensor) => new PartFiller(tensor));
  let next = read(wanted[0]);
  for (const [index, shard] of wanted.entries()) {
    signal?.throwIfAborted();
    const content = present(await next, "shard");
    next = read(wanted[index + 1]);
    pace.add(content.length, manifest.source);
    for (const part of open) part.take(shard, content);
    for (let part = open[0]; part?.isComplete === true; part = open[0]) {
      yield part.finish();
      open.shift();
    }
  }
  for (const part of open) yield part.finish(); // Parts without bytes.
  pace.finish(manifest.source);
}

class PartFiller {
  readonly #tensor: StoredTensor;
  #bytes: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;

  constructor(tensor: StoredTensor) {
    this.#tensor = tensor;
  }

  get isComplete(): boolean {
    return this.#filled === partBytes(this.#tensor);
  }

  take(shard: number, content: Uint8Array): void {
    for (const piece of this.#tensor.pieces) {
      if (piece.shard !== shard) continue;
      this.#bytes ??= allocate(partBytes(this.#tensor), this.#tensor.name);
      const end = piece.shardOffset + piece.bytes;
      this.#bytes.set(content.subarray(piece.shardOffset, end), this.#filled);
      this.#filled += piece.bytes;
    }
  }

  finish(): LoadedPart {
    const { name, dtype, shape } = this.#tensor;
    const bytes = this.#bytes ?? new Uint8Array(0);
    this.#bytes = undefined;
    return { name, dtype, shape, bytes };
  }
}

// Numbers of the shards that hold any piece, ascending.
function shardsOf(tensors: readonly StoredTensor[]): number[] {
  const shards = new Set(tensors.flatMap(({ pieces }) => pieces.map(({ shard }) => shard)));
  return [...shards].toSorted((a, b) => a - b);
}
