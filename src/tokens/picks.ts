// What a loop of tokens has picked, on the device: the ids, how many they are, and a way to read both at once. A
// device that was lost may give zeros where ids were, and 0 is an id; the number of picks tells the two apart.
import { assert } from "../base/assert.ts";
import { brokenNumbers } from "../base/numerics.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";
import { BROKEN_TOKEN } from "../session/runtime.ts";

/** Tensors that `pickToken` writes. */
export interface Picks {
  /** i32 [most + 1]: ids as they are picked; the last element is the number of them, once it is read. */
  readonly ids: Tensor;
  /** i32 [1] */
  readonly count: Tensor;
  /**
   * The first `picked` ids, in one read back. Ids that no logits gave are in it: {@link checkPicked}.
   *
   * @throws ModelError numerics when the device has not picked so many
   */
  read(picked: number): Promise<Int32Array>;
  dispose(): void;
}

/** Room for `most` ids. */
export function createPicks(runtime: Runtime, most: number): Picks {
  const ids = runtime.createTensor("i32", [most + 1]);
  const count = runtime.createTensor("i32", [1]);
  return {
    ids,
    count,
    async read(picked) {
      runtime.copy(count, ids, { targetOffset: most * count.byteLength });
      const all = await runtime.read(ids);
      assert(all instanceof Int32Array, "token ids are i32");
      if (all[most] !== picked) {
        throw brokenNumbers(`The device picked ${all[most]} of ${picked} tokens`, {
          done: all[most] ?? 0,
          expected: picked,
        });
      }
      return all.slice(0, picked);
    },
    dispose() {
      ids.dispose();
      count.dispose();
    },
  };
}

/** @param before - ids picked before these. @throws ModelError numerics for one that no logits gave */
export function checkPicked(ids: Int32Array, before = 0): void {
  const broken = ids.indexOf(BROKEN_TOKEN);
  if (broken < 0) return;
  const step = before + broken + 1;
  throw brokenNumbers(`The logits of token ${step} are no numbers, or all the same`, { step });
}
