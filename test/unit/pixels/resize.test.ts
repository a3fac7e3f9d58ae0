// Pillow made the goldens: test/golden/pil-resize/make.py.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { preprocess } from "../../../src/pixels/preprocess.ts";
import { resizeBicubic } from "../../../src/pixels/resize.ts";
import { largestDifference } from "../../support/closeness.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

const FOLDER = new URL("../../golden/pil-resize/", import.meta.url);

interface Cases {
  readonly resize: { name: string; before: [number, number]; after: [number, number] }[];
  readonly preprocess: {
    name: string;
    before: [number, number];
    imageSize: number;
    minSize: number;
    mean: number[];
    std: number[];
    pixelValues: boolean;
  }[];
}

const cases: Cases = JSON.parse(readFileSync(new URL("cases.json", FOLDER), "utf8"));
const goldens = (name: string) => parseGoldens(readFileSync(new URL(`${name}.safetensors`, FOLDER)));

describe("resizeBicubic", () => {
  const tensors = goldens("resize");

  test.each(cases.resize)("equals Pillow: $name", ({ name, before: [width, height], after }) => {
    const data = tensors.get(`${name}.in`)?.values as Uint8Array;
    const resized = resizeBicubic({ width, height, channels: 3, data }, ...after);
    expect([...resized.data]).toEqual([...(tensors.get(`${name}.out`)?.values ?? [])]);
  });
});

describe("preprocess", () => {
  const tensors = goldens("preprocess");

  test.each(cases.preprocess.filter(({ pixelValues }) => pixelValues))(
    "equals the reference's image processor: $name",
    ({ name, before: [width, height], ...options }) => {
      const rgb = tensors.get(`${name}.in`)?.values ?? [];
      const data = new Uint8ClampedArray(width * height * 4).fill(255);
      for (let k = 0; k < rgb.length; k++) data[Math.floor(k / 3) * 4 + (k % 3)] = rgb[k] ?? 0;
      const rescale = { rescaleFactor: 1 / 255, doNormalize: true };
      const actual = preprocess({ width, height, data }, { ...options, ...rescale });
      const expected = tensors.get(`${name}.pixelValues`)?.values ?? [];
      expect(largestDifference(actual, expected)).toBeLessThan(1e-6);
    },
  );
});
