// Pillow 11 and Meta's ImageTokenizer made the goldens: test/golden/pil-resize/lanczos.py, test/golden/chameleon.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { centreSquare } from "../../../src/pixels/centre-square.ts";
import { resizeLanczos } from "../../../src/pixels/resize.ts";
import { readChameleonGoldens } from "../../support/chameleon-goldens.ts";
import { largestDifference } from "../../support/closeness.ts";
import { watchAllocations } from "../../support/watch-allocations.ts";
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

describe("a long picture", () => {
  test.each([
    [1, 20_000],
    [20_000, 1],
    [3, 8_000],
  ])("of %i x %i pixels costs no more than its middle", (width, height) => {
    const data = new Uint8ClampedArray(width * height * 4).fill(255);
    const largest = watchAllocations(() => centreSquare({ width, height, data }, 512));
    expect(largest).toBeLessThan(2 * 3 * 4 * 512 ** 2);
  });

  test("has in its middle what the whole resized picture has", () => {
    const [width, height, size] = [5, 37, 16];
    const data = Uint8ClampedArray.from({ length: width * height * 4 }, (_, at) =>
      at % 4 === 3 ? 255 : (at * 89) % 251,
    );
    const rgb = data.filter((_, at) => at % 4 !== 3);
    const tall = Math.round((size / width) * height);
    const whole = resizeLanczos({ width, height, channels: 3, data: rgb }, size, tall);
    const top = Math.floor((tall - size) / 2);
    const middle = whole.data.subarray(top * size * 3, (top + size) * size * 3);
    const planes = centreSquare({ width, height, data }, size);
    const bytes = Array.from({ length: middle.length }, (_, at) =>
      Math.round((((planes[(at % 3) * size ** 2 + Math.floor(at / 3)] ?? 0) + 1) / 2) * 255),
    );
    expect(bytes).toEqual([...middle]);
  });
});

test("centreSquare puts what is transparent on white", () => {
  const data = new Uint8ClampedArray(4 * 4 * 4);
  expect(new Set(centreSquare({ width: 4, height: 4, data }, 2))).toEqual(new Set([1]));
});
