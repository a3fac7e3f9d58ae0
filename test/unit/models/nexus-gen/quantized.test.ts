// What stored weights cost: cosines with the authors' f32 numbers, stage by stage, on random checkpoints
// (harder than trained ones: every weight counts the same). Printed for the README's table.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import {
  compareAnswer,
  compareFeatures,
  compareImagined,
  compareRun,
  compareVelocity,
  type Compared,
} from "../../../contract/nexus-gen-stages.ts";
import { cosine } from "../../../support/closeness.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { nexusGenFolder, readNexusGenGoldens } from "../../../support/nexus-gen-goldens.ts";
import { openNexusGen, type OpenNexusGen } from "../../../support/open-nexus-gen.ts";

// Floors a little under what was measured: a broken scale or a swapped nibble falls far below them.
const SUBJECTS = [
  { quantization: "q8", floor: 0.999 },
  { quantization: "q4", floor: 0.8 },
] as const;

const rows: string[] = [];

describe.each(["v2", "v1"] as const)("checkpoint %s", (name) => {
  const goldens = readNexusGenGoldens(name);

  describe.each(SUBJECTS)("stored as $quantization", ({ quantization, floor }) => {
    let model: OpenNexusGen;
    beforeAll(async () => {
      const files = folderFiles(new URL("checkpoint/", nexusGenFolder(name)));
      model = await openNexusGen({ kind: "files", files }, quantization, await createWasmRuntime());
    }, 120_000);
    afterAll(() => model?.dispose());

    function judge(stage: string, compared: readonly Compared[]): void {
      const worst = Math.min(...compared.map(({ actual, expected }) => cosine(actual, expected)));
      rows.push(`${name} | ${quantization} | ${stage} | ${worst.toFixed(6)}`);
      expect(worst).toBeGreaterThan(floor);
    }

    test("features of a picture", async () => {
      judge("features", [await compareFeatures(model, goldens, 0)]);
    });

    test("logits of an answer about a picture", async () => {
      judge("logits", [(await compareAnswer(model, goldens, "oneImage")).logits]);
    });

    test("embeddings and context tokens", async () => {
      judge("embeddings", (await compareImagined(model, goldens, "draw")).compared);
      judge("merged", (await compareImagined(model, goldens, "edit")).compared);
    });

    test("velocity", async () => {
      judge("velocity", await compareVelocity(model, goldens, "draw"));
    });

    test("latents of a whole run", async () => {
      judge("latents", [(await compareRun(model, goldens, "draw", 3)).latents]);
    });
  });
});

afterAll(() => console.log(`checkpoint | weights | stage | cosine\n${rows.join("\n")}`));
