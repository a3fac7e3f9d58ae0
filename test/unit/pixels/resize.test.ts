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
const goldens = (name: string) =>
  parseGoldens(readFileSync(new URL(`${name}.safetensors`, FOLDER)));

describe("resizeBicubic", () => {
  const tensors = goldens("resize");

  test.each(cases.resize)("equals Pillow: $name", ({ name, before: [width, height], after }) => {
    const data = tensors.get(`${name}.in`)?.values as Uint8Array;
    const resized = resizeBicubic({ width, height, channels: 3, data }, ...after);
    expect([...resized.data]).toEqual([...(tensors.get(`${name}.out`)?.values ?? [])]);
  });
});

describe("resizeBicubic of a plain picture", () => {
  const plain = (width: number, height: number) => ({
    width,
    height,
    channels: 1,
    data: new Uint8Array(width * height).fill(200),
  });

  test("keeps its one colour at every size", () => {
    for (const [width, height] of [
      [1, 1],
      [3, 50],
      [64, 2],
    ] as const) {
      const { data } = resizeBicubic(plain(17, 9), width, height);
      expect(data).toHaveLength(width * height);
      expect(new Set(data)).toEqual(new Set([200]));
    }
  });

  test("is the same picture at its own size", () => {
    const raster = plain(4, 5);
    expect(resizeBicubic(raster, 4, 5)).toEqual(raster);
  });
});

describe("preprocess of a picture", () => {
  const options = {
    imageSize: 28,
    minSize: 14,
    rescaleFactor: 1 / 255,
    doNormalize: true,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  };
  const filled = (width: number, height: number, rgba: number[]) => ({
    width,
    height,
    data: Uint8ClampedArray.from({ length: width * height * 4 }, (_, i) => rgba[i % 4] ?? 0),
  });

  test("drops transparency and keeps the colour under it", () => {
    const opaque = preprocess(filled(5, 5, [10, 20, 30, 255]), options);
    expect(preprocess(filled(5, 5, [10, 20, 30, 0]), options)).toEqual(opaque);
  });

  test("pads a flat one above and below with the mean, and keeps its least height", () => {
    const values = preprocess(filled(100, 1, [255, 255, 255, 255]), options);
    const column = Array.from({ length: 28 }, (_, y) => values[y * 28] ?? 0);
    // 127 of 255 is not quite the mean
    expect(column.slice(0, 7).every((value) => Math.abs(value + 0.00392) < 1e-4)).toBe(true);
    expect(column.slice(7, 21).every((value) => value === 1)).toBe(true);
    expect(column.slice(21).every((value) => value < 0)).toBe(true);
  });

  test("only rescales where normalising is off", () => {
    const values = preprocess(filled(3, 3, [51, 51, 51, 255]), { ...options, doNormalize: false });
    expect(values.every((value) => Math.abs(value - 0.2) < 1e-7)).toBe(true);
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
