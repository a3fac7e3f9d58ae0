// What stored weights cost: f32 by its largest difference over the largest value, quantized ones by their
// cosines with the libraries' f32 numbers, stage by stage, on random checkpoints (harder than trained ones:
// every weight counts the same). Printed for the README's table.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../../../src/engine/engine.ts";
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import {
  compareAnswer,
  compareLatents,
  compareVectors,
  compareVelocity,
  type Compared,
} from "../../../contract/pisces-stages.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { openModel } from "../../../support/open-model.ts";
import { goldenFolder, readPiscesGoldens } from "../../../support/pisces-goldens.ts";

// A vector's error comes back in with every further one, and the noise inherits it: unet.test.ts has the UNet's
// own share. Floors a little under what was measured: a broken scale or a swapped nibble falls far below them.
const SUBJECTS = [
  { quantization: "f32", logits: 1e-4, vectors: 1e-4, velocity: 1e-4, latents: 1e-4 },
  { quantization: "f16", logits: 0.99999, vectors: 0.9999, velocity: 0.9999, latents: 0.999 },
  { quantization: "q8", logits: 0.999, vectors: 0.998, velocity: 0.98, latents: 0.95 },
  { quantization: "q4", logits: 0.95, vectors: 0.6, velocity: 0.6, latents: 0.75 },
] as const;

const rows: string[] = [];

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const goldens = readPiscesGoldens(name);

  describe.each(SUBJECTS)("stored as $quantization", ({ quantization, ...floors }) => {
    let model: LoadedModel;
    beforeAll(async () => {
      const files = folderFiles(new URL("checkpoint/", goldenFolder(name)));
      model = await openModel({ kind: "files", files }, quantization, await createWasmRuntime());
    }, 120_000);
    afterAll(() => model?.dispose());

    function judge(stage: string, compared: readonly Compared[], bar: number): void {
      if (quantization === "f32") {
        const errors = compared.map(({ actual, expected }) => relativeError(actual, expected));
        rows.push(`${name} | f32 | ${stage} | ${Math.max(...errors).toExponential(1)}`);
        expect(Math.max(...errors)).toBeLessThan(bar);
        return;
      }
      const worst = Math.min(...compared.map(({ actual, expected }) => cosine(actual, expected)));
      rows.push(`${name} | ${quantization} | ${stage} | ${worst.toFixed(6)}`);
      expect(worst).toBeGreaterThan(bar);
    }

    test("logits of an answer about a picture", async () => {
      const { logits } = await compareAnswer(model.stages, goldens, "oneImage");
      judge("logits", [logits], floors.logits);
    });

    test("vectors, each made of the one before", async () => {
      judge("vectors", await compareVectors(model.stages, goldens), floors.vectors);
    });

    test("predicted noise", async () => {
      judge("noise", await compareVelocity(model.stages, goldens), floors.velocity);
    });

    test("latents after ten steps", async () => {
      const compared = await compareLatents(model.stages, goldens, { steps: 10 });
      judge("latents, 10 steps", [compared], floors.latents);
    });
  });
});

afterAll(() => console.log(`checkpoint | weights | stage | cosine\n${rows.join("\n")}`));
