// A hub says what its files are as a whole, and an import that is cut anywhere reads them in stretches: no byte of
// them may be another one without being noticed, whenever and wherever it changes.
import { beforeAll, describe, expect, test } from "vitest";

import { parseSource } from "../../../src/base/source-location.ts";
import type { WeightDeclaration } from "../../../src/base/weight-declaration.ts";
import type { FetchLike } from "../../../src/base/wire-fetch.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { KeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import type { HubFiles, SentStretch } from "../../support/fake-hub.ts";
import { fakeHub, HUB_URL, REPOSITORY } from "../../support/fake-hub.ts";
import { declare, safetensorsFile, textFile, weights } from "../../support/tiny-checkpoint.ts";

const SHAPE = [256, 192] as const;
const SHARD_BYTES = 16_384;
/** Too far for one request. */
const GAP = { dtype: "I64", shape: [8500], values: Array.from({ length: 8500 }, () => 7) } as const;
const FILES: HubFiles = {
  "config.json": textFile({ model_type: "tiny" }),
  "a.safetensors": file(["a", "b", "c"]),
  "b.safetensors": file(["d", "e", "f"], {}), // ends with a weight
  "model.safetensors.index.json": textFile({
    weight_map: Object.fromEntries(
      ["a", "b", "c", "d", "e", "f"].map((name) => [
        name,
        `${name <= "c" ? "a" : "b"}.safetensors`,
      ]),
    ),
  }),
};
const DECLARATIONS = [
  ...["a", "b", "d"].map((name) => declare(name, SHAPE, "linear")),
  declare("c", SHAPE, "linear", { keepAtLeast: "f16" }), // stored transposed, over many shards
  declare("e", SHAPE, "embedding"),
  declare("f", SHAPE, "plain"),
];

let expected: Manifest;
beforeAll(async () => {
  expected = await load(fakeHub(FILES), memoryKeyValue());
});

describe("an import from a hub", () => {
  test("reads every byte of the files, those between and behind the weights, too", async () => {
    const seen = new Map<string, Uint8Array>();
    const note = ({ path, start, bytes }: SentStretch): void => {
      const mask = seen.get(path) ?? new Uint8Array(FILES[path]?.length ?? 0);
      seen.set(path, mask.fill(1, start, start + bytes.length));
    };
    await load(fakeHub(FILES, note), memoryKeyValue());
    for (const path of ["a.safetensors", "b.safetensors"]) {
      expect(seen.get(path)?.every((one) => one === 1)).toBe(true);
    }
  });

  test("refuses a file of which any byte is another one, and stores nothing of it", async () => {
    for (const path of ["a.safetensors", "b.safetensors"]) {
      const size = FILES[path]?.length ?? 0;
      for (let at = 3; at < size; at += 39_989) {
        const rows = memoryKeyValue();
        const spoilt = fakeHub(FILES, flip(path, at));
        await expect(load(spoilt, rows), `${path} ${at}`).rejects.toMatchObject({
          code: expect.stringMatching(/^(download-failed|checkpoint-invalid)$/),
        });
        const resumed = await load(fakeHub(FILES), rows);
        expect(resumed.shards).toEqual(expected.shards);
      }
    }
  });

  test("refuses weights whose header was another one when it was believed", async () => {
    let reads = 0;
    const spoilt = fakeHub(FILES, ({ path, start, bytes }) => {
      if (path !== "a.safetensors" || start > 0 || reads++ > 0) return;
      const text = new TextDecoder("latin1").decode(bytes);
      bytes[text.indexOf('"a":{') + 1] = "b".charCodeAt(0); // two tensors of one shape
      bytes[text.indexOf('"b":{') + 1] = "a".charCodeAt(0);
    });
    await expect(load(spoilt, memoryKeyValue())).rejects.toMatchObject({
      code: "download-failed",
      details: { reason: "damaged", file: "a.safetensors" },
    });
    expect(reads).toBeGreaterThan(1);
  });

  // The heart of it: stopped after each shard, with a byte that flips before or after the stop.
  test.for(["before", "after"] as const)(
    "never ends with other shards when it was stopped and a byte flips %s",
    async (when) => {
      let [refused, right] = [0, 0];
      for (let k = 1; k <= expected.shards.length; k++) {
        for (let at = 500 + k; at < 560_000; at += 290_021) {
          const path = at % 2 === 0 ? "a.safetensors" : "b.safetensors";
          const rows = memoryKeyValue();
          const spoilt = fakeHub(FILES, flip(path, at));
          const whole = fakeHub(FILES);
          const [first, second] = when === "before" ? [spoilt, whole] : [whole, spoilt];
          await load(first, rows, k).catch(() => undefined);
          const error = await load(second, rows).catch((failure: unknown) => failure);
          if (error instanceof Error) {
            expect(error).toMatchObject({
              code: expect.stringMatching(/^(download-failed|checkpoint-invalid)$/),
            });
            refused++;
          } else {
            expect(error).toMatchObject({ shards: expected.shards });
            right++;
          }
          const last = await load(whole, rows);
          expect(last.shards).toEqual(expected.shards);
        }
      }
      expect(refused).toBeGreaterThan(10);
      expect(right).toBeGreaterThan(10);
    },
  );

  // What is left of one file ends behind where the next one was stopped.
  test("goes on at the beginning of another file", async () => {
    const weight = (name: string) =>
      ({ dtype: "BF16", shape: SHAPE, values: weights(256 * 192, name.charCodeAt(0)) }) as const;
    const small = {
      dtype: "I64",
      shape: [400],
      values: Array.from({ length: 400 }, () => 7),
    } as const;
    const files: HubFiles = {
      "a.safetensors": safetensorsFile({ a: weight("a"), tail: GAP }),
      "b.safetensors": safetensorsFile({ small, b: weight("b") }),
      "model.safetensors.index.json": textFile({
        weight_map: { a: "a.safetensors", b: "b.safetensors" },
      }),
    };
    const declarations = DECLARATIONS.slice(0, 2);
    const whole = await load(fakeHub(files), memoryKeyValue(), Infinity, declarations);
    for (let k = 1; k < whole.shards.length; k++) {
      const rows = memoryKeyValue();
      await expect(load(fakeHub(files), rows, k, declarations)).rejects.toThrow("closed");
      const resumed = await load(fakeHub(files), rows, Infinity, declarations);
      expect(resumed.shards).toEqual(whole.shards);
    }
  });

  test("goes on where it was stopped: the later, the less is fetched", async () => {
    const fetched: number[] = [];
    for (let k = 1; k < expected.shards.length; k++) {
      const rows = memoryKeyValue();
      await expect(load(fakeHub(FILES), rows, k)).rejects.toThrow("closed");
      let bytes = 0;
      const count = (stretch: SentStretch): void => void (bytes += stretch.bytes.length);
      expect((await load(fakeHub(FILES, count), rows)).shards).toEqual(expected.shards);
      fetched.push(bytes);
    }
    const whole = ["a.safetensors", "b.safetensors"].reduce(
      (sum, path) => sum + (FILES[path]?.length ?? 0),
      0,
    );
    expect(fetched).toEqual(fetched.toSorted((a, b) => b - a));
    expect(fetched.at(-1)).toBeLessThan(whole / 2); // both headers, one tensor, what is behind it
  });

  test("works as before where the hub has no such list", async () => {
    const mute: FetchLike = async (url, init) =>
      url.includes("/api/") ? new Response(null, { status: 404 }) : fakeHub(FILES)(url, init);
    expect((await load(mute, memoryKeyValue())).shards).toEqual(expected.shards);
  });

  test.for([
    ["names other files only", "[]"],
    ["is no JSON", '[{"path":'],
    ["gives no hash", '[{"path":"a.safetensors","size":3,"lfs":{"oid":"no","size":3}}]'],
  ])("refuses a list that %s", async ([, list = ""]) => {
    const other: FetchLike = async (url, init) =>
      url.includes("/api/") ? new Response(list) : fakeHub(FILES)(url, init);
    await expect(load(other, memoryKeyValue())).rejects.toMatchObject({
      code: "download-failed",
      details: { reason: "damaged" },
    });
  });

  test("knows files that are not in Git LFS by git's own id", async () => {
    const plain = { hasLfs: false };
    const whole = await load(fakeHub(FILES, undefined, plain), memoryKeyValue());
    expect(whole.shards).toEqual(expected.shards);
    for (let at = 250_000; at < 260_000; at += 999) {
      const spoilt = fakeHub(FILES, flip("b.safetensors", at), plain);
      await expect(load(spoilt, memoryKeyValue())).rejects.toMatchObject({
        details: { reason: "damaged", file: "b.safetensors" },
      });
    }
  });
});

function file(
  names: readonly string[],
  tail: Parameters<typeof safetensorsFile>[0] = { tail: GAP },
): Uint8Array<ArrayBuffer> {
  const tensors = names.flatMap((name, index) => [
    [`${name}.gap`, GAP] as const,
    [
      name,
      {
        dtype: "BF16" as const,
        shape: SHAPE,
        values: weights(256 * 192, name.charCodeAt(0) + index),
      },
    ] as const,
  ]);
  return safetensorsFile({ ...Object.fromEntries(tensors), ...tail });
}

function flip(path: string, at: number): (stretch: SentStretch) => void {
  return (stretch) => {
    const place = at - stretch.start;
    if (stretch.path !== path || place < 0 || place >= stretch.bytes.length) return;
    stretch.bytes[place] = (stretch.bytes[place] ?? 0) ^ 0x10;
  };
}

/** Imports; `stopAfter` writes the tab is closed. */
async function load(
  fetch: FetchLike,
  rows: KeyValue,
  stopAfter = Infinity,
  declarations: readonly WeightDeclaration[] = DECLARATIONS,
): Promise<Manifest> {
  const stop = new AbortController();
  let writes = 0;
  const counted: KeyValue = {
    ...rows,
    change: async (decide) => {
      await rows.change(decide);
      if (++writes === stopAfter) stop.abort(new Error("closed"));
    },
  };
  const options = { hubUrl: HUB_URL, fetch, pause: async () => undefined };
  const source = await openSource(parseSource(REPOSITORY), options);
  return importCheckpoint({
    key: "k",
    checkpoint: await openCheckpoint(source),
    declarations,
    quantization: "q8",
    family: "tiny",
    files: {},
    store: new WeightStore(counted, "memory"),
    signal: stop.signal,
    shardBytes: SHARD_BYTES,
  });
}
