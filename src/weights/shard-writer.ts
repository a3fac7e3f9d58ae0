// Collects a stretch of the stream into shards. Only shards that are wanted are kept: all of them in an
// import, the rest of them when one is resumed, a few when damaged ones are made again.
import { assert } from "../base/assert.ts";
import type { Layout } from "./layout.ts";
import { shardLength } from "./layout.ts";

/** Receives a finished shard. */
export type ShardSink = (shard: number, bytes: Uint8Array<ArrayBuffer>) => Promise<void>;

/** Writes the stream in ascending order, gaps allowed where no wanted shard is. */
export class ShardWriter {
  readonly #layout: Layout;
  readonly #isWanted: (shard: number) => boolean;
  readonly #sink: ShardSink;
  #shard = -1;
  #bytes = new Uint8Array(0);
  #filled = 0;

  constructor(layout: Layout, isWanted: (shard: number) => boolean, sink: ShardSink) {
    this.#layout = layout;
    this.#isWanted = isWanted;
    this.#sink = sink;
  }

  /** Adds the bytes from `position` of the stream on; waits while a full shard is stored. */
  async write(position: number, bytes: Uint8Array): Promise<void> {
    const { shardBytes } = this.#layout;
    for (let taken = 0; taken < bytes.length;) {
      const shard = Math.floor((position + taken) / shardBytes);
      const offset = position + taken - shard * shardBytes;
      const count = Math.min(bytes.length - taken, shardBytes - offset);
      if (this.#isWanted(shard))
        await this.#add(shard, offset, bytes.subarray(taken, taken + count));
      taken += count;
    }
  }

  async #add(shard: number, offset: number, bytes: Uint8Array): Promise<void> {
    if (shard !== this.#shard) {
      assert(this.#filled === 0, `shard ${this.#shard} was left at ${this.#filled} bytes`);
      this.#shard = shard;
      this.#bytes = new Uint8Array(shardLength(this.#layout, shard));
    }
    assert(offset === this.#filled, `shard ${shard} has a hole at ${this.#filled}`);
    this.#bytes.set(bytes, offset);
    this.#filled += bytes.length;
    if (this.#filled < this.#bytes.length) return;
    this.#filled = 0;
    await this.#sink(shard, this.#bytes);
  }
}
