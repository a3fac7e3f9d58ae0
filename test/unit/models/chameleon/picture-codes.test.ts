// Meta's VQModel and ImageTokenizer made the goldens: test/golden/chameleon/make.py.
import { describe, expect, test } from "vitest";
import { readCodes } from "../../../../src/graph/blocks/codebook.ts";
import { vqEncoder } from "../../../../src/graph/blocks/vae.ts";
import { parseChameleonConfig } from "../../../../src/models/chameleon/config.ts";
import { decoderGraph, encoderGraph } from "../../../../src/models/chameleon/picture-codes.ts";
import { chameleonFolder, readChameleonGoldens } from "../../../support/chameleon-goldens.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { checkpointWeights } from "../../../support/checkpoint-weights.ts";
import { relativeError } from "../../../support/closeness.ts";
import { evaluate, runGraph } from "../../../support/run-graph.ts";

const BAR = 1e-4;
const f32 = { quantization: "f32" } as const;

function open(name: "anole" | "chameleon") {
  const folder = new URL("checkpoint/", chameleonFolder(name));
  const { json, tensors } = readChameleonGoldens(name);
  return {
    json,
    config: parseChameleonConfig(readCheckpointFiles(folder), new Set()),
    weights: checkpointWeights(folder),
    golden: (key: string) => tensors.get(key)?.values ?? [],
  };
}

describe.each(["anole", "chameleon"] as const)("pictures of %s", (name) => {
  const { config, weights, golden } = open(name);

  test.each([0, 1, 2])("have the reference's latents and codes: photo %i", async (photo) => {
    const inputs = { pixels: golden(`picture.${photo}.pixelValues`) };
    const size = config.imageSize;
    const latents = await evaluate(
      (g) => vqEncoder(g, g.input("pixels", "f32", [1, 3, size, size]), config.vq),
      { inputs, weights },
    );
    expect(relativeError(latents.values, golden(`picture.${photo}.latents`))).toBeLessThan(BAR);
    const { codes } = await runGraph(encoderGraph(config, f32), { inputs, weights });
    const chosen = codes?.values ?? new Float32Array();
    expect([...readCodes(chosen)]).toEqual([...golden(`picture.${photo}.codes`)]);
  });
});

describe("decoder", () => {
  const { config, weights, golden, json } = open("anole");

  test.each(Object.keys(json.draw ?? {}))("paints as the reference does: %s", async (name) => {
    const inputs = { ids: json.draw?.[name]?.generated ?? [] };
    const { image } = await runGraph(decoderGraph(config, f32), { inputs, weights });
    expect(relativeError(image?.values ?? [], golden(`draw.${name}.decoded`))).toBeLessThan(BAR);
  });

  test("takes what is not picked yet for the first code", async () => {
    const paint = (ids: number[]) =>
      runGraph(decoderGraph(config, f32), { inputs: { ids }, weights });
    const first = config.vocabulary.codeIds[0] ?? -1;
    const codes = config.vocabulary.codeIds.length - 1;
    const some = Array.from({ length: 16 }, (_, at) => (at < 5 ? first + ((at * 7) % codes) : 0));
    expect(await paint(some)).toEqual(await paint(some.map((id) => id || first)));
  });
});
