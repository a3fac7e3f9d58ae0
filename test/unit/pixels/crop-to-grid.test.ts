// The authors' crop_arr made the goldens: test/golden/omnigen/make.py.
import { describe, expect, test } from "vitest";
import { cropToGrid, gridSize, toSignedPlanes } from "../../../src/pixels/crop-to-grid.ts";
import { relativeError } from "../../support/closeness.ts";
import { readOmniGenGoldens } from "../../support/omnigen-goldens.ts";

const goldens = readOmniGenGoldens("a");

/** make.py's pattern of the same name. */
function pattern(width: number, height: number) {
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        data[(y * width + x) * 4 + c] = (x * 7 + y * 13 + c * 29 + ((x * y) % 31)) % 256;
      }
    }
  }
  return { width, height, data };
}

describe("cropToGrid", () => {
  test.each(goldens.json.crops)(
    "equals crop_arr: %i x %i, at most %i",
    (width, height, maxSize) => {
      const options = { maxSize, patch: 16 };
      const golden = goldens.tensors.get(`crop.${width}x${height}.${maxSize}`);
      const cropped = cropToGrid(pattern(width, height), options);
      expect([cropped.height, cropped.width, 3]).toEqual(golden?.shape);
      expect([...cropped.data]).toEqual([...(golden?.values ?? [])]);
      expect(gridSize({ width, height }, options)).toEqual([cropped.width, cropped.height]);
    },
  );

  test.each([0, 1])("photo %i becomes the processor's numbers", (index) => {
    const photo = goldens.photos[index] ?? pattern(1, 1);
    const planes = toSignedPlanes(cropToGrid(photo, { maxSize: 1024, patch: 16 }));
    const golden = goldens.tensors.get(`photo.${index}.pixels`)?.values ?? [];
    expect(relativeError(planes, golden)).toBeLessThan(1e-6);
  });
});

describe("a picture that is nearly a line", () => {
  const options = { maxSize: 1024, patch: 16 };

  test.each([
    [1, 3000],
    [65_535, 4],
  ])("of %i x %i pixels is refused by its sides", (width, height) => {
    const data = new Uint8ClampedArray(width * height * 4);
    for (const read of [gridSize, cropToGrid]) {
      const reading = () => read({ width, height, data }, options);
      expect(reading).toThrow(RangeError);
      expect(reading).toThrow(`${width} x ${height}`);
    }
  });
});
