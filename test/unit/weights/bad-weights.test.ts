import { describe, expect, test } from "vitest";

import type { Quantization } from "../../../src/base/dtype.ts";
import type { WeightDeclaration } from "../../../src/base/weight-declaration.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { LoadedPart } from "../../../src/weights/read-model.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import type { TinyTensor } from "../../support/tiny-checkpoint.ts";
import { declare, safetensorsFile, weights } from "../../support/tiny-checkpoint.ts";

const SHAPE = [4, 32] as const;

describe("numbers that cannot be stored", () => {
  test.each<[string, number, Quantization, RegExp]>([
    ["NaN", NaN, "q4", /tensor w in model\.safetensors holds NaN/],
    ["infinity", Infinity, "q8", /holds Infinity/],
    ["infinity", -Infinity, "f16", /holds -Infinity/],
    ["NaN", NaN, "f32", /holds NaN/],
    ["a number too large for f16", 70_000, "f16", /holds 70000, which f16 cannot.*"f32"/],
    ["a scale too large for f16", 1e6, "q4", /scale f16 cannot hold.*"f32"/],
  ])("%s is refused, naming the tensor (%d in %s)", async (_, bad, quantization, message) => {
    const values = weights(128, 1);
    values[77] = bad;
    const importing = install({ w: { dtype: "F32", shape: SHAPE, values } }, quantization);
    await expect(importing).rejects.toMatchObject({ code: "checkpoint-invalid" });
    await expect(importing).rejects.toThrow(message);
  });

  test("what f16 cannot hold is kept in f32", async () => {
    const values = weights(128, 1);
    values[77] = 70_000;
    const parts = await install({ w: { dtype: "F32", shape: SHAPE, values } }, "f32");
    expect(new Float32Array(parts[0]?.bytes.buffer ?? new ArrayBuffer(0))).toContain(70_000);
  });
});

describe("declarations", () => {
  const qkv: TinyTensor = { dtype: "F32", shape: [12, 32], values: weights(384, 2) };

  test("may take rows of a fused tensor", async () => {
    const slices = [0, 4, 8].map((first) =>
      declare("qkv", SHAPE, "plain", {
        key: `qkv[${first}:${first + 4}]`,
        sourceShape: [12, 32],
        rows: [first, first + 4],
      }),
    );
    const parts = await install({ qkv }, "f32", slices);
    const whole = parts.flatMap(({ bytes }) => [...new Float32Array(bytes.buffer)]);
    expect(whole).toEqual([...Float32Array.from(qkv.values)]);
  });

  test("accept old names and dimensions of size 1", async () => {
    const value: TinyTensor = { dtype: "F32", shape: [4, 32, 1, 1], values: weights(128, 3) };
    const declaration = declare("to_q", SHAPE, "linear", { aliases: ["query"] });
    const parts = await install({ query: value }, "q8", [declaration]);
    expect(parts.map(({ name }) => name)).toEqual(["to_q", "to_q.scales"]);
  });

  test("of the same weight are stored once", async () => {
    const twice = [declare("qkv", [12, 32], "linear"), declare("qkv", [12, 32], "linear")];
    expect((await install({ qkv }, "q4", twice)).length).toBe(2);
  });

  test("that contradict each other are a bug", async () => {
    const twice = [declare("qkv", [12, 32], "linear"), declare("qkv", [12, 32], "plain")];
    await expect(install({ qkv }, "q4", twice)).rejects.toThrow(/declared twice/);
  });

  test("of two slices that overlap are both right", async () => {
    const overlapping = [
      declare("qkv", [12, 32], "plain"),
      slice("last", 8, 12),
      slice("mid", 2, 9),
    ];
    const parts = await install({ qkv }, "f32", overlapping);
    const numbers = Float32Array.from(qkv.values);
    const mid = parts.find(({ name }) => name === "mid")?.bytes.buffer ?? new ArrayBuffer(0);
    expect([...new Float32Array(mid)]).toEqual([...numbers.subarray(2 * 32, 9 * 32)]);
  });
});

describe("readTensors", () => {
  test("reads only what is asked for", async () => {
    const tensors = Object.fromEntries(
      ["a", "b", "c"].map((name) => [
        name,
        { dtype: "F32" as const, shape: SHAPE, values: weights(128, 1) },
      ]),
    );
    const declarations = Object.keys(tensors).map((name) => declare(name, SHAPE, "plain"));
    const parts = await install(tensors, "f16", declarations, new Set(["b"]));
    expect(parts.map(({ name }) => name)).toEqual(["b"]);
  });

  test("ends with the signal's reason", async () => {
    const tensors = { w: { dtype: "F32" as const, shape: SHAPE, values: weights(128, 1) } };
    const signal = AbortSignal.abort(new Error("no more"));
    await expect(install(tensors, "f16", undefined, undefined, signal)).rejects.toThrow("no more");
  });
});

function slice(key: string, first: number, last: number): WeightDeclaration {
  return declare("qkv", [last - first, 32], "plain", {
    key,
    sourceShape: [12, 32],
    rows: [first, last],
  });
}

async function install(
  tensors: Readonly<Record<string, TinyTensor>>,
  quantization: Quantization,
  declarations: readonly WeightDeclaration[] = [declare("w", SHAPE, "linear")],
  names?: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<LoadedPart[]> {
  const files = [new File([safetensorsFile(tensors)], "model.safetensors")];
  const source = await openSource({ kind: "files", files });
  const store = new WeightStore(memoryKeyValue(), "memory");
  const manifest = await importCheckpoint({
    key: "k",
    checkpoint: await openCheckpoint(source),
    declarations,
    quantization,
    family: "tiny",
    files: {},
    store,
    shardBytes: 256,
  });
  const parts: LoadedPart[] = [];
  for await (const part of readTensors(store, manifest, { names, signal })) parts.push(part);
  return parts;
}
