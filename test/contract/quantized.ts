// What stored weights cost: f32 by its largest difference over the largest value, quantized ones by their
// cosines with the reference's f32 numbers, stage by stage, on random checkpoints (harder than trained ones:
// every weight counts the same). Printed for the README's table.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Quantization } from "../../src/base/dtype.ts";
import type { SourceLocation } from "../../src/base/source-location.ts";
import type { Runtime } from "../../src/session/runtime.ts";
import { createWasmRuntime } from "../../src/session/wasm-runtime.ts";
import { cosine, relativeError } from "../support/closeness.ts";
import { folderFiles } from "../support/folder-files.ts";
import type { Compared } from "./compared.ts";

/** A family's stages and how far each may be off. */
export interface QuantizedFamily<Name extends string, Floor extends string, Model, Goldens> {
  readonly checkpoints: readonly Name[];
  /** Where a checkpoint lies. */
  readonly folder: (name: Name) => URL;
  readonly goldens: (name: Name) => Goldens;
  readonly open: (
    location: SourceLocation,
    quantization: Quantization,
    runtime: Runtime,
  ) => Promise<Model>;
  /**
   * Of f32 the largest relative error that is too much, of others a cosine that is too little: a little under
   * what was measured, so that a broken scale or a swapped nibble falls far below.
   */
  readonly floors: Partial<Record<Quantization, Readonly<Record<Floor, number>>>>;
  readonly stages: readonly QuantizedStage<Name, Floor, Model, Goldens>[];
}

/** One stage: the worst of what it compares is judged. */
export interface QuantizedStage<Name, Floor, Model, Goldens> {
  readonly title: string;
  /** Its name in the printed table. */
  readonly row: string;
  readonly floor: Floor;
  /** The one checkpoint that has the stage; default: all have. */
  readonly only?: Name;
  readonly compare: (model: Model, goldens: Goldens) => Promise<readonly Compared[]>;
}

/** Tests every stage of every checkpoint in every quantization that has floors. */
export function judgeQuantized<
  Name extends string,
  Floor extends string,
  Model extends { dispose(): Promise<void> },
  Goldens,
>(family: QuantizedFamily<Name, Floor, Model, Goldens>): void {
  const { checkpoints, folder, floors, stages } = family;
  const rows: string[] = [];

  describe.each(checkpoints)("checkpoint %s", (name) => {
    const goldens = family.goldens(name);

    describe.each(Object.keys(floors) as Quantization[])("stored as %s", (quantization) => {
      let model: Model;
      beforeAll(async () => {
        const files = folderFiles(folder(name));
        model = await family.open(
          { kind: "files", files },
          quantization,
          await createWasmRuntime(),
        );
      }, 120_000);
      afterAll(() => model?.dispose());

      const own = stages.filter(({ only = name }) => only === name);
      test.each(own.map((stage) => [stage.title, stage] as const))(
        "%s",
        async (_, { row, floor, compare }) => {
          const bar = floors[quantization]?.[floor] ?? Number.NaN;
          const worst = worstOf(await compare(model, goldens), quantization);
          rows.push(`${name} | ${quantization} | ${row} | ${worst.text}`);
          if (quantization === "f32") expect(worst.value).toBeLessThan(bar);
          else expect(worst.value).toBeGreaterThan(bar);
        },
        60_000,
      );
    });
  });

  afterAll(() => console.log(`checkpoint | weights | stage | cosine\n${rows.join("\n")}`));
}

function worstOf(
  compared: readonly Compared[],
  quantization: Quantization,
): { value: number; text: string } {
  expect(compared).not.toHaveLength(0);
  if (quantization === "f32") {
    const errors = compared.map(({ actual, expected }) => relativeError(actual, expected));
    const value = Math.max(...errors);
    return { value, text: value.toExponential(1) };
  }
  const value = Math.min(...compared.map(({ actual, expected }) => cosine(actual, expected)));
  return { value, text: value.toFixed(6) };
}
