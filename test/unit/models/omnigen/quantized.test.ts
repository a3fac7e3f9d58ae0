// What stored weights cost: f32 by its largest difference over the largest value, quantized ones by their
// cosines with the authors' f32 numbers, stage by stage, on random checkpoints (harder than trained ones:
// every weight counts the same). Printed for the README's table.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../../../src/engine/engine.ts";
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import {
  compareRun,
  compareVelocity,
  type Compared,
  type GoldenRun,
} from "../../../contract/omnigen-stages.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { omniGenFolder, readOmniGenGoldens } from "../../../support/omnigen-goldens.ts";
import { openModel } from "../../../support/open-model.ts";

// Floors a little under what was measured: a broken scale or a swapped nibble falls far below them.
const SUBJECTS = [
  { quantization: "f32", velocity: 1e-4, latents: 1e-4 },
  { quantization: "f16", velocity: 0.99999, latents: 0.9999 },
  { quantization: "q8", velocity: 0.9995, latents: 0.9995 },
  { quantization: "q4", velocity: 0.97, latents: 0.95 },
] as const;

const rows: string[] = [];

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const goldens = readOmniGenGoldens(name);

  describe.each(SUBJECTS)("stored as $quantization", ({ quantization, ...floors }) => {
    let model: LoadedModel;
    beforeAll(async () => {
      const files = folderFiles(new URL("checkpoint/", omniGenFolder(name)));
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

    test("velocity", async () => {
      judge("velocity", await compareVelocity(model.stages, goldens), floors.velocity);
    }, 60_000);

    test.each([
      ["latents from text, 10 steps", "text", 10],
      ["latents from two pictures, 4 steps", "two", 4],
    ] as const)("%s", async (stage, caseName, steps) => {
      const isThis = (run: GoldenRun) => run.case === caseName && run.steps === steps;
      const run = goldens.json.runs.find(isThis);
      if (run === undefined) throw new Error("goldens have this run");
      judge(stage, [(await compareRun(model.stages, goldens, run)).latents], floors.latents);
    });
  });
});

afterAll(() => console.log(`checkpoint | weights | stage | cosine\n${rows.join("\n")}`));
