// Pillow 11 and Meta's ImageTokenizer made the goldens: test/golden/pil-resize/lanczos.py, test/golden/chameleon.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { centreSquare } from "../../../src/pixels/centre-square.ts";
import { resizeLanczos } from "../../../src/pixels/resize.ts";
import { readChameleonGoldens } from "../../support/chameleon-goldens.ts";
import { largestDifference } from "../../support/closeness.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

describe("resizeLanczos", () => {
  const file = new URL("../../golden/pil-resize/lanczos.safetensors", import.meta.url);
  const tensors = parseGoldens(readFileSync(file));
  const names = [...tensors.keys()].flatMap((key) =>
    key.endsWith(".in") ? [key.slice(0, -3)] : [],
  );

  test.each(names)("equals Pillow: %s", (name) => {
    const before = tensors.get(`${name}.in`);
    const after = tensors.get(`${name}.out`);
    const [height = 0, width = 0] = before?.shape ?? [];
    const [outHeight = 0, outWidth = 0] = after?.shape ?? [];
    const data = before?.values as Uint8Array;
    const resized = resizeLanczos({ width, height, channels: 3, data }, outWidth, outHeight);
    expect([...resized.data]).toEqual([...(after?.values ?? [])]);
  });
});

describe.each(["anole", "chameleon"] as const)("centreSquare for %s", (name) => {
  const { photos, tensors } = readChameleonGoldens(name);

  test.each(photos.map((_, index) => index))("equals the reference: photo %i", (index) => {
    const golden = tensors.get(`picture.${index}.pixelValues`);
    const size = golden?.shape[1] ?? 0;
    const photo = photos[index] ?? { width: 0, height: 0, data: new Uint8ClampedArray() };
    expect(largestDifference(centreSquare(photo, size), golden?.values ?? [])).toBeLessThan(1e-6);
  });
});

test("centreSquare puts what is transparent on white", () => {
  const data = new Uint8ClampedArray(4 * 4 * 4);
  expect(new Set(centreSquare({ width: 4, height: 4, data }, 2))).toEqual(new Set([1]));
});
