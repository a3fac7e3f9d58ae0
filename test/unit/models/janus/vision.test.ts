// What the core sees of a picture, stage by stage: test/golden/janus/make.py.
import { describe, expect, test } from "vitest";
import { siglipTower } from "../../../../src/graph/blocks/siglip.ts";
import { parseJanusConfig } from "../../../../src/models/janus/config.ts";
import { pictureSlots, visionGraph } from "../../../../src/models/janus/vision.ts";
import { preprocess } from "../../../../src/pixels/preprocess.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { checkpointWeights } from "../../../support/checkpoint-weights.ts";
import { largestDifference, relativeError } from "../../../support/closeness.ts";
import { janusCheckpoint, readJanusGoldens } from "../../../support/janus-goldens.ts";
import { evaluate, runGraph } from "../../../support/run-graph.ts";

describe.each(["a", "a-transformers"] as const)("checkpoint %s", (name) => {
  const config = parseJanusConfig(readCheckpointFiles(janusCheckpoint(name)));
  const weights = checkpointWeights(janusCheckpoint(name));
  const { tensors, photos } = readJanusGoldens(name);
  const golden = (key: string) => tensors.get(key)?.values ?? [];
  const size = config.imageSize;

  test.each([0, 1])("prepares photo %i as the reference does", (photo) => {
    const pixels = photos[photo];
    if (pixels === undefined) throw new Error("goldens have two photos");
    const values = preprocess(pixels, config.preprocess);
    expect(largestDifference(values, golden(`image.${photo}.pixelValues`))).toBeLessThan(1e-5);
  });

  test.each([0, 1])("has the tower's tokens of photo %i", async (photo) => {
    const { values } = await evaluate(
      (g) => siglipTower(g, g.input("pixels", "f32", [1, 3, size, size]), config.vision),
      { inputs: { pixels: golden(`image.${photo}.pixelValues`) }, weights },
    );
    expect(relativeError(values, golden(`image.${photo}.siglip`))).toBeLessThan(1e-4);
  });

  test.each([0, 1])("has the aligned features of photo %i", async (photo) => {
    const graph = visionGraph(config, { float: "f32", quantization: "f32" });
    const inputs = { pixels: golden(`image.${photo}.pixelValues`) };
    const { features } = await runGraph(graph, { inputs, weights });
    expect(features?.shape).toEqual([1, pictureSlots(config), config.language.hiddenSize]);
    const expected = golden(`image.${photo}.aligned`);
    expect(relativeError(features?.values ?? [], expected)).toBeLessThan(1e-4);
  });
});
