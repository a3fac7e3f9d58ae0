// What stored weights cost, stage by stage: see janus-flow/quantized.test.ts. Printed for the README's table.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../../../src/engine/engine.ts";
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { compareAnswer, type Compared } from "../../../contract/janus-flow-stages.ts";
import { compareFixedPicture, compareGuided, compareRows } from "../../../contract/janus-stages.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { janusCheckpoint, readJanusGoldens } from "../../../support/janus-goldens.ts";
import { openModel } from "../../../support/open-model.ts";

// Floors a little under what was measured: a broken scale or a swapped nibble falls far below them.
const SUBJECTS = [
  { quantization: "f32", words: 1e-4, codes: 1e-4, guided: 1e-4, pixels: 0.02 },
  { quantization: "f16", words: 0.99999, codes: 0.99999, guided: 0.99999, pixels: 0.9999 },
  { quantization: "q8", words: 0.999, codes: 0.999, guided: 0.99, pixels: 0.9999 },
  { quantization: "q4", words: 0.85, codes: 0.85, guided: 0.5, pixels: 0.9999 },
] as const;

const rows: string[] = [];

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const goldens = readJanusGoldens(name);

  describe.each(SUBJECTS)("stored as $quantization", ({ quantization, ...floors }) => {
    let model: LoadedModel;
    beforeAll(async () => {
      const files = folderFiles(janusCheckpoint(name));
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

    test("logits of an answer about a picture", async () => {
      const { logits } = await compareAnswer(model.stages, goldens, "oneImage");
      judge("words", [logits], floors.words);
    });

    test("logits of codes", async () => {
      judge("codes", await compareRows(model.stages, goldens), floors.codes);
    });

    test("guided logits of codes", async () => {
      judge("codes, guidance 5", [await compareGuided(model.stages, goldens)], floors.guided);
    });

    test("pixels of given codes", async () => {
      judge("pixels", [await compareFixedPicture(model.stages, goldens)], floors.pixels);
    });
  });
});

afterAll(() => console.log(`checkpoint | weights | stage | cosine\n${rows.join("\n")}`));
