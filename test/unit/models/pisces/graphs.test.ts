// Single graphs beside transformers: what the tower sees, and the first vector of a picture.
import { describe, expect, test } from "vitest";
import { siglipTower } from "../../../../src/graph/blocks/siglip.ts";
import { ropeTables } from "../../../../src/graph/blocks/llama.ts";
import { parsePiscesConfig } from "../../../../src/models/pisces/config.ts";
import { embedGraph } from "../../../../src/models/llama-graphs.ts";
import { captionGraph } from "../../../../src/models/pisces/core.ts";
import { visionGraph } from "../../../../src/models/pisces/vision.ts";
import { picturePixels } from "../../../../src/models/pisces/writer.ts";
import { checkpointWeights } from "../../../support/checkpoint-weights.ts";
import { largestDifference, relativeError } from "../../../support/closeness.ts";
import {
  goldenFolder,
  readPiscesFiles,
  readPiscesGoldens,
} from "../../../support/pisces-goldens.ts";
import { evaluate, runGraph } from "../../../support/run-graph.ts";

const OPTIONS = { float: "f32", quantization: "f32" } as const;

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const config = parsePiscesConfig(readPiscesFiles(name));
  const weights = checkpointWeights(new URL("checkpoint/", goldenFolder(name)));
  const { tensors, photos, json } = readPiscesGoldens(name);
  const golden = (key: string): number[] => Array.from(tensors.get(key)?.values ?? []);

  test.each([0, 1])("photo %i becomes SiglipImageProcessor's numbers", (index) => {
    const photo = photos[index];
    if (photo === undefined) throw new Error("a golden photo");
    const values = picturePixels(photo, config);
    expect(largestDifference(values, golden(`image.${index}.pixelValues`))).toBeLessThan(1e-5);
  });

  test.each([0, 1])("photo %i is seen as SiglipVisionModel does", async (index) => {
    const inputs = { pixels: golden(`image.${index}.pixelValues`) };
    const { imageSize: size } = config.vision;
    const tokens = await evaluate(
      (g) => siglipTower(g, g.input("pixels", "f32", [1, 3, size, size]), config.vision),
      { inputs, weights },
    );
    expect(relativeError(tokens.values, golden(`image.${index}.siglip`))).toBeLessThan(1e-4);
    const { features } = await runGraph(visionGraph(config, OPTIONS), { inputs, weights });
    const expected = golden(`image.${index}.projected`);
    expect(relativeError(features?.values ?? [], expected)).toBeLessThan(1e-4);
  });

  test.each(["cond", "uncond", "negative"] as const)(
    "the first vector behind the prompt %s is LlamaForCausalLM's",
    async (row) => {
      const ids = json.generate.promptIds[row];
      const { headDim, kvHeads, layers } = config.language;
      const capacity = ids.length;
      const { embeddings } = await runGraph(embedGraph(config, OPTIONS), {
        inputs: { ids },
        weights,
      });
      const { cos, sin } = ropeTables(config.language, capacity);
      const cache = new Float32Array(kvHeads * capacity * headDim);
      const caches = Array.from({ length: layers }, (_, layer) => [
        [`past.${layer}.key`, cache],
        [`past.${layer}.value`, cache],
      ]).flat();
      const { vector } = await runGraph(captionGraph(config, capacity, OPTIONS), {
        inputs: {
          embeddings: embeddings?.values ?? [],
          seqlens_k: [capacity - 1],
          total_sequence_length: [capacity],
          "rope.cos": cos,
          "rope.sin": sin,
          ...Object.fromEntries(caches),
        },
        weights,
      });
      const expected = golden(`generate.${row}.vectors`).slice(0, config.vectorSize);
      expect(relativeError(vector?.values ?? [], expected)).toBeLessThan(1e-4);
    },
  );
});
