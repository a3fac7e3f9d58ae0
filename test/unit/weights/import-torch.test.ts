// PyTorch archives go through the same import as safetensors files: ranges, read-ahead, shards, resume.
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";

import { parseSource } from "../../../src/base/source-location.ts";
import type { WeightDeclaration } from "../../../src/base/weight-declaration.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import type { FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";
import { declare, safetensorsFile } from "../../support/tiny-checkpoint.ts";

const GOLDEN = new URL("../../golden/torch-archive/", import.meta.url);
const FLAT = readFileSync(new URL("flat.bin", GOLDEN));
type Golden = Record<string, { dtype: string; shape: number[]; values: number[] }>;
const EXPECTED = JSON.parse(readFileSync(new URL("tensors.json", GOLDEN), "utf8")) as Golden;
const FLOATS = ["f32", "bf16", "f16", "f64", "scalar", "parameter", "shared", "shared.rows"];

let server: FaultServer;
afterEach(() => server.close());

describe("importCheckpoint of PyTorch archives", () => {
  test("stores what torch saved, on a server that fails", async () => {
    server = await startFaultServer({ "/m/pytorch_model.bin": FLAT });
    server.useRandom(3, 0.3, ["truncate", "reset", "short-range", "wrong-content-range"]);
    const parts = await install(FLOATS.map(plain));
    expect(Object.fromEntries(parts)).toEqual(
      Object.fromEntries(FLOATS.map((name) => [name, EXPECTED[name]?.values])),
    );
  });

  test("stores the same shards as a safetensors file with the same numbers", async () => {
    const { shape = [], values = [] } = EXPECTED["shared"] ?? {};
    const weight = declare("shared", shape, "linear");
    server = await startFaultServer({
      "/m/pytorch_model.bin": FLAT,
      "/s/model.safetensors": safetensorsFile({ shared: { dtype: "F32", shape, values } }),
    });
    expect(await install([weight], "/m")).toEqual(await install([weight], "/s"));
  });

  test("refuses a view with strides of its own, when it is asked for", async () => {
    server = await startFaultServer({ "/m/pytorch_model.bin": FLAT });
    await expect(install([plain("transposed")])).rejects.toMatchObject({
      code: "checkpoint-invalid",
      message: expect.stringContaining(
        "transposed is a view with strides [1, 3]; save it with .contiguous()",
      ),
    });
  });

  test("refuses whole numbers where weights are declared", async () => {
    server = await startFaultServer({ "/m/pytorch_model.bin": FLAT });
    await expect(install([plain("i64")])).rejects.toThrow(/i64 is I64, expected F32, F16 or BF16/);
  });
});

function plain(name: string): WeightDeclaration {
  return declare(name, EXPECTED[name]?.shape ?? [], "plain");
}

async function install(
  declarations: readonly WeightDeclaration[],
  folder = "/m",
): Promise<(readonly [string, number[]])[]> {
  const pause = async (): Promise<void> => undefined;
  const source = await openSource(parseSource(`${server.url}${folder}`), { pause, attempts: 20 });
  const store = new WeightStore(memoryKeyValue(), "memory");
  const checkpoint = await openCheckpoint(source);
  const origin = { key: "0".repeat(64), family: "tiny", quantization: "f32", files: {} } as const;
  const manifest = await importCheckpoint({ ...origin, checkpoint, declarations, store });
  const parts: (readonly [string, number[]])[] = [];
  for await (const { name, bytes } of readTensors(store, manifest)) {
    parts.push([name, [...new Float32Array(bytes.buffer)]]);
  }
  return parts;
}
