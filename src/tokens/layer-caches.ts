// The key/value caches of a core's layers, as `llamaBody`'s cached attention names and shapes them.
import type { Runtime, Tensor } from "../session/runtime.ts";

/** One layer's keys and values: a cache [rows, kvHeads, capacity, headDim], or a prompt's [rows, slots, width]. */
export interface LayerCache {
  readonly key: Tensor;
  readonly value: Tensor;
}

/** Sizes of the caches. */
export interface LayerCacheSizes {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Slots of each row. */
  readonly capacity: number;
}

/** Zeroed caches that a captured graph may update in place. */
export async function createLayerCaches(
  runtime: Runtime,
  { layers, kvHeads, headDim, capacity }: LayerCacheSizes,
  rows: number,
): Promise<LayerCache[]> {
  const shape = [rows, kvHeads, capacity, headDim];
  const caches: LayerCache[] = [];
  for (let layer = 0; layer < layers; layer++) {
    const key = await runtime.createStableTensor(runtime.float, shape);
    caches.push({ key, value: await runtime.createStableTensor(runtime.float, shape) });
  }
  return caches;
}

/** Every layer's cache under `past.{layer}.key` and so on. */
export function cachePorts(
  caches: readonly LayerCache[],
  name: "past" | "prefix" | "present",
): Record<string, Tensor> {
  return Object.fromEntries(
    caches.flatMap(({ key, value }, layer) => [
      [`${name}.${layer}.key`, key],
      [`${name}.${layer}.value`, value],
    ]),
  );
}
