// What stored weights cost: f32 by its largest difference over the largest value, quantized ones by their
// cosines with the library's f32 numbers, stage by stage, on random checkpoints (harder than trained ones:
// every weight counts the same). Printed for the README's table.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../../../src/engine/engine.ts";
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import {
  compareAnswer,
  compareLatents,
  compareVelocity,
  type Compared,
} from "../../../contract/transfusion-stages.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { openModel } from "../../../support/open-model.ts";
import { readTransfusionGoldens, transfusionFolder } from "../../../support/transfusion-goldens.ts";

// Floors a little under what was measured: a broken scale or a swapped nibble falls far below them.
const SUBJECTS = [
  { quantization: "f32", logits: 1e-4, velocity: 1e-4, latents: 1e-4 },
  { quantization: "f16", logits: 0.99999, velocity: 0.99999, latents: 0.99999 },
  { quantization: "q8", logits: 0.9998, velocity: 0.9998, latents: 0.9998 },
  { quantization: "q4", logits: 0.97, velocity: 0.98, latents: 0.98 },
] as const;

const rows: string[] = [];

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const goldens = readTransfusionGoldens(name);

  describe.each(SUBJECTS)("stored as $quantization", ({ quantization, ...floors }) => {
    let model: LoadedModel;
    beforeAll(async () => {
      const files = folderFiles(new URL("checkpoint/", transfusionFolder(name)));
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

    test("logits behind a picture", async () => {
      const { logits } = await compareAnswer(model.stages, goldens, "picture");
      judge("logits", [logits], floors.logits);
    });

    test("velocity", async () => {
      judge("velocity", await compareVelocity(model.stages, goldens, "draw"), floors.velocity);
    });

    test("latents after four steps", async () => {
      const asked = { name: "draw", steps: 4, guidance: 3 } as const;
      judge(
        "latents, 4 steps",
        [await compareLatents(model.stages, goldens, asked)],
        floors.latents,
      );
    });
  });
});

afterAll(() => console.log(`checkpoint | weights | stage | cosine\n${rows.join("\n")}`));
