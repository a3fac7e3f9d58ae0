// Whatever breaks an import, and wherever: what was stored before stays right, and the next attempt ends
// with exactly the shards of an import that nothing disturbed.
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { ModelError } from "../../../src/base/errors.ts";
import { parseSource } from "../../../src/base/source-location.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import type { KeyValue } from "../../../src/weights/key-value.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { parseManifest } from "../../../src/weights/manifest.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { isJournal } from "../../../src/weights/stored-rows.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { damageJson } from "../../support/damage-json.ts";
import type { FaultKind, FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";
import { setRow } from "../../support/set-row.ts";
import { declare, safetensorsFile, weights } from "../../support/tiny-checkpoint.ts";

const SHAPE = [64, 96] as const;
const WEIGHT_BYTES = 64 * 96 * 2;
const SHARD_BYTES = 2048;
/** What is read of a file to see its header. */
const FIRST_READ_BYTES = 128 * 1024;
const NAMES = ["a", "b", "c", "d", "e", "f"];
const FILE = safetensorsFile(
  Object.fromEntries(
    NAMES.flatMap((name, index) => [
      [name, { dtype: "BF16" as const, shape: SHAPE, values: weights(64 * 96, index + 1) }],
      // Too far apart for one request.
      [`gap.${name}`, { dtype: "F32" as const, shape: [20_000], values: new Float32Array(20_000) }],
    ]),
  ),
);
const DECLARATIONS = [
  ...NAMES.slice(0, 4).map((name) => declare(name, SHAPE, "linear")),
  declare("e", SHAPE, "embedding"),
  declare("f", SHAPE, "linear", { keepAtLeast: "f16" }), // stored transposed, in one stretch
];

let server: FaultServer;
let expected: Manifest;
beforeEach(async () => {
  server = await startFaultServer({ "/m/model.safetensors": FILE });
  expected = await run(new WeightStore(memoryKeyValue(), "memory"));
});
afterEach(() => server.close());

describe("an import goes on to the same shards", () => {
  test("after a full disk at any write", async () => {
    for (let k = 0; ; k++) {
      const rows = memoryKeyValue();
      const error = await run(storeFailingAt(rows, k)).catch((failure: unknown) => failure);
      if (!(error instanceof Error)) {
        expect(k).toBe(expected.shards.length + 1); // the manifest is a write, too
        break;
      }
      expect(error).toMatchObject({ code: "quota-exceeded" });
      await expectWhole(rows, Math.min(k, expected.shards.length));
    }
  });

  test("whatever its journal has come to say", async () => {
    const [length] = expected.shards.map(({ bytes }) => bytes);
    for (let seed = 0; seed < 60; seed++) {
      const rows = memoryKeyValue();
      await run(storeFailingAt(rows, 5)).catch(() => undefined);
      const row = await rows.get("journal:k");
      const { shards = [] } = isJournal(row) ? row : {};
      expect(shards).toHaveLength(5);
      const swapped = shards.toReversed();
      const longer = Array.from(expected.shards, () => ({ ...shards[0], bytes: length }));
      const others = [{ shards: swapped }, { shards: longer }, { shards: [] }, { plan: "other" }];
      const other = others[seed];
      const spoilt = other ? Object.assign({}, row, other) : damageJson(row, seed);
      await setRow(rows, "journal:k", spoilt);
      const manifest = await run(new WeightStore(rows, "memory"));
      expect(manifest.shards).toEqual(expected.shards);
      expect(parseManifest(manifest)).toBeDefined();
    }
  });

  test("after a lost connection at any request", async () => {
    for (let k = 0; ; k++) {
      const rows = memoryKeyValue();
      server.use({ kind: "reset", after: k, times: 9 }); // three requests at once, each thrice
      const error = await run(new WeightStore(rows, "memory")).catch((failure: unknown) => failure);
      server.use();
      if (!(error instanceof Error)) {
        expect(k).toBeGreaterThan(NAMES.length);
        break;
      }
      expect(error).toMatchObject({ code: "download-failed" });
      await expectWhole(rows);
    }
  });

  test("after an abort at any write, and fetches no more than what is missing", async () => {
    for (let k = 1; k < expected.shards.length; k++) {
      const rows = memoryKeyValue();
      const stop = new AbortController();
      const store = new WeightStore(
        afterWrites(rows, k, () => stop.abort(new Error("stop"))),
        "memory",
      );
      await expect(run(store, stop.signal)).rejects.toThrow("stop");
      const before = server.sentBytes();
      await expectWhole(rows);
      // Five weights of 3456 stored bytes each, then a larger one.
      const complete = Math.min(5, Math.floor((k * SHARD_BYTES) / 3456));
      const missing = (NAMES.length - complete) * WEIGHT_BYTES;
      // Requests that the stopped import had just sent may still be answered.
      const late = 2 * WEIGHT_BYTES;
      expect(server.sentBytes() - before).toBeLessThanOrEqual(FIRST_READ_BYTES + missing + late);
    }
  });

  test("but from the beginning when the file is another one", async () => {
    const rows = memoryKeyValue();
    await run(storeFailingAt(rows, 3)).catch(() => undefined);
    const changed = FILE.slice();
    changed[changed.length - 30_000] = 1;
    server.replace("/m/model.safetensors", changed);
    const before = server.requests.length;
    await run(new WeightStore(rows, "memory"));
    expect(server.requests.length - before).toBeGreaterThan(NAMES.length);
  });
});

describe("under random faults of the server", () => {
  const KINDS: readonly FaultKind[] = [
    "truncate",
    "truncate-quietly",
    "short-range",
    "wrong-content-range",
    "long-body",
    "reset",
    "status",
    "ignore-range",
    "ignore-range-chunked",
  ];
  test.each(Array.from({ length: 25 }, (_, seed) => seed + 1))(
    "seed %d: the right shards or a typed error",
    async (seed) => {
      server.useRandom(seed, 0.3, KINDS);
      const rows = memoryKeyValue();
      for (let attempt = 0; attempt < 20; attempt++) {
        try {
          const manifest = await run(new WeightStore(rows, "memory"), undefined, 4);
          expect(manifest.shards).toEqual(expected.shards);
          return;
        } catch (error) {
          if (!ModelError.isModelError(error)) throw error;
          expect(error.code).toBe("download-failed");
        }
      }
      expect.unreachable("never came through");
    },
  );
});

async function run(store: WeightStore, signal?: AbortSignal, attempts = 1): Promise<Manifest> {
  const pause = async (): Promise<void> => undefined;
  const location = parseSource(`${server.url}/m`);
  const source = await openSource(location, { attempts, pause, idleTimeoutMs: 2000 });
  return importCheckpoint({
    key: "k",
    checkpoint: await openCheckpoint(source),
    declarations: DECLARATIONS,
    quantization: "q4",
    family: "tiny",
    files: {},
    store,
    signal,
    shardBytes: SHARD_BYTES,
  });
}

// Nothing but whole shards is in the store, and running again completes them.
async function expectWhole(rows: KeyValue, stored?: number): Promise<void> {
  const store = new WeightStore(rows, "memory");
  const journal = await store.readJournal("k");
  for (const shard of journal?.shards ?? []) await store.get(shard);
  if (stored !== undefined) expect(journal?.shards.length ?? 0).toBe(stored);
  const manifest = await run(store);
  expect(manifest.shards).toEqual(expected.shards);
  for await (const part of readTensors(store, manifest))
    expect(part.bytes.length).toBeGreaterThan(0);
}

function storeFailingAt(rows: KeyValue, k: number): WeightStore {
  let writes = 0;
  const change: KeyValue["change"] = async (decide) => {
    if (writes++ === k) throw new DOMException("", "QuotaExceededError");
    await rows.change(decide);
  };
  return new WeightStore({ ...rows, change }, "memory");
}

function afterWrites(rows: KeyValue, k: number, act: () => void): KeyValue {
  let writes = 0;
  return {
    ...rows,
    change: async (decide) => {
      await rows.change(decide);
      if (++writes === k) act();
    },
  };
}
