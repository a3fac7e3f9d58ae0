// What stored weights cost: f32 by its largest difference over the largest value, quantized ones by their
// cosines with the reference's f32 numbers, on random checkpoints (harder than trained ones: every weight
// counts the same). Printed for the README's table.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../../../src/engine/engine.ts";
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { compareAnswer, compareGuided, type Compared } from "../../../contract/chameleon-stages.ts";
import { chameleonFolder, readChameleonGoldens } from "../../../support/chameleon-goldens.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { openModel } from "../../../support/open-model.ts";

// Floors a little under what was measured: a broken scale or a swapped nibble falls far below them.
const SUBJECTS = [
  { quantization: "f32", logits: 1e-4, guided: 1e-4 },
  { quantization: "f16", logits: 0.9999, guided: 0.9999 },
  { quantization: "q8", logits: 0.999, guided: 0.999 },
  { quantization: "q4", logits: 0.8, guided: 0.8 },
] as const;

const rows: string[] = [];

describe.each(["anole", "chameleon"] as const)("checkpoint %s", (name) => {
  const goldens = readChameleonGoldens(name);

  describe.each(SUBJECTS)("stored as $quantization", ({ quantization, ...floors }) => {
    let model: LoadedModel;
    beforeAll(async () => {
      const files = folderFiles(new URL("checkpoint/", chameleonFolder(name)));
      model = await openModel({ kind: "files", files }, quantization, await createWasmRuntime());
    }, 60_000);
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

    test("logits of answers", async () => {
      const compared: Compared[] = [];
      for (const key of ["textOnly", "twoTurns"]) {
        compared.push((await compareAnswer(model.stages, goldens, key)).logits);
      }
      judge("logits", compared, floors.logits);
    });

    test.runIf(name === "anole")("guided logits along the reference's codes", async () => {
      judge("guided", [await compareGuided(model.stages, goldens, "prompt")], floors.guided);
    });
  });
});

afterAll(() => console.log(`checkpoint | weights | stage | cosine\n${rows.join("\n")}`));
