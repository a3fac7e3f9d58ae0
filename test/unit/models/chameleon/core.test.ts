// transformers made the goldens: test/golden/chameleon/make.py.
import { describe, expect, test } from "vitest";
import type { FloatType } from "../../../../src/base/dtype.ts";
import { ropeTables } from "../../../../src/graph/blocks/llama.ts";
import { parseChameleonConfig } from "../../../../src/models/chameleon/config.ts";
import { decodeGraph, prefillGraph } from "../../../../src/models/chameleon/core.ts";
import { embedGraph } from "../../../../src/models/llama-graphs.ts";
import { chameleonFolder, readChameleonGoldens } from "../../../support/chameleon-goldens.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { checkpointWeights } from "../../../support/checkpoint-weights.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { runGraph } from "../../../support/run-graph.ts";

const CAPACITY = 80;

describe.each(["anole", "chameleon"] as const)("the core of %s", (name) => {
  const folder = new URL("checkpoint/", chameleonFolder(name));
  const config = parseChameleonConfig(readCheckpointFiles(folder), new Set());
  const weights = checkpointWeights(folder);
  const { json, tensors } = readChameleonGoldens(name);

  /** Logits behind a prompt from an empty cache; the hidden state itself with a head that changes nothing. */
  async function logits(
    ids: readonly number[],
    float: FloatType,
    head: "own" | "identity" = "own",
  ): Promise<Float32Array> {
    const options = { float, quantization: "f32" } as const;
    const { layers, kvHeads, headDim } = config.language;
    const { embeddings } = await runGraph(embedGraph(config, options), {
      inputs: { ids },
      weights,
    });
    const { cos, sin } = ropeTables(config.language, CAPACITY);
    const empty = new Float32Array(kvHeads * CAPACITY * headDim);
    const caches = Array.from({ length: layers }, (_, layer) => [
      [`past.${layer}.key`, empty],
      [`past.${layer}.value`, empty],
    ]).flat();
    const inputs = {
      embeddings: embeddings?.values ?? [],
      seqlens_k: [ids.length - 1],
      total_sequence_length: [ids.length],
      "rope.cos": cos,
      "rope.sin": sin,
      ...(Object.fromEntries(caches) as Record<string, Float32Array>),
    };
    const { hiddenSize: width } = config.language;
    const vocabularySize = head === "own" ? config.language.vocabularySize : width;
    const headed = { ...config, language: { ...config.language, vocabularySize } };
    const identity = Float32Array.from({ length: width ** 2 }, (_, at) =>
      at % (width + 1) === 0 ? 1 : 0,
    );
    const run = await runGraph(prefillGraph(headed, CAPACITY, options), {
      inputs,
      weights: (weight) =>
        head === "identity" && weight.tensor === "lm_head.weight" ? identity : weights(weight),
    });
    return run["logits"]?.values ?? new Float32Array();
  }

  test.each(Object.keys(json.text))("reads as the reference does: %s", async (key) => {
    const expected = tensors.get(`text.${key}.logits`)?.values ?? [];
    const ids = json.text[key]?.ids ?? [];
    expect(relativeError(await logits(ids, "f32"), expected)).toBeLessThan(1e-4);
    const hidden = tensors.get(`text.${key}.hidden`)?.values ?? [];
    expect(relativeError(await logits(ids, "f32", "identity"), hidden)).toBeLessThan(1e-4);
  });

  test("keeps its numbers in f16", async () => {
    const expected = tensors.get("text.textOnly.logits")?.values ?? [];
    expect(cosine(await logits(json.text["textOnly"]?.ids ?? [], "f16"), expected)).toBeGreaterThan(
      0.9999,
    );
  });

  test("decodes any number of contexts at once", () => {
    for (const rows of [1, 2, 3]) {
      const options = { float: "f32", quantization: "q4" } as const;
      const graph = decodeGraph(config, { rows, capacity: CAPACITY }, options);
      const out = graph.outputs.find((output) => output.name === "logits");
      expect(out?.shape).toEqual([rows, 1, config.language.vocabularySize]);
    }
  });
});
