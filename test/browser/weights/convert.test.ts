// The same bytes, whoever converts: this browser and Node (test/unit/cli/convert.test.ts) are held to one list.
import { describe, expect, test } from "vitest";
import type { Quantization } from "../../../src/base/dtype.ts";
import { importModel } from "../../../src/engine/import-model.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { CONVERTED_SHARDS } from "../../support/converted-shards.ts";

const CHECKPOINT = new URL("../../golden/janus-flow/a/checkpoint/", import.meta.url).href;
const QUANTIZATIONS = Object.keys(CONVERTED_SHARDS) as Quantization[];

describe("importModel in this browser", () => {
  test.each(QUANTIZATIONS)("makes the shards that Node makes, in %s", async (quantization) => {
    const store = new WeightStore(memoryKeyValue(), "memory");
    const { manifestKey } = await importModel(
      { location: { kind: "url", url: CHECKPOINT }, companions: {}, quantization },
      store,
      { onProgress: () => undefined, signal: new AbortController().signal },
    );
    const manifest = await store.readManifest(manifestKey);
    expect(manifest?.shards.map(({ hash }) => hash)).toEqual(CONVERTED_SHARDS[quantization]);
  });
});
