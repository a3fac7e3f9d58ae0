// The TypeScript detector and checker against stored pictures with the verdicts of the Python ones, which
// demo/models/train/fixtures.py wrote.
import { readFileSync } from "node:fs";
import { inflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { DrawingSpec } from "../../score/check-drawing.ts";
import { checkDrawing } from "../../score/check-drawing.ts";
import type { Found } from "../../score/detector.ts";
import { detect } from "../../score/detector.ts";

interface Picture {
  readonly name: string;
  /** 64x64 RGB bytes, deflated, in base64. */
  readonly rgb: string;
  readonly found: readonly Found[];
  readonly spec: DrawingSpec;
  readonly fulfils: boolean;
}

const pictures = JSON.parse(
  readFileSync(new URL("pictures.json", import.meta.url), "utf8"),
) as readonly Picture[];

describe.each(pictures)("$name", (picture) => {
  const pixels = rgbaOf(picture.rgb);

  test("the same objects as in Python", () => {
    const found = detect(pixels);
    expect(found.map((o) => `${o.colour} ${o.shape}`)).toEqual(
      picture.found.map((o) => `${o.colour} ${o.shape}`),
    );
    found.forEach((o, i) => {
      expect(o.x).toBeCloseTo(picture.found[i]?.x ?? NaN, 6);
      expect(o.y).toBeCloseTo(picture.found[i]?.y ?? NaN, 6);
      expect(o.overlap).toBeCloseTo(picture.found[i]?.overlap ?? NaN, 6);
    });
  });

  test("the same verdict as in Python", () => {
    expect(checkDrawing(pixels, picture.spec)).toBe(picture.fulfils);
  });
});

test("a prompt that names places wants every object there", () => {
  const picture = pictures.find(
    ({ found }) => found.length > 1 && found.every((o) => o.overlap > 0.7),
  );
  const { rgb, found, spec } = picture ?? { rgb: "", found: [], spec: undefined };
  const at = (objects: readonly Found[]): boolean =>
    spec !== undefined && checkDrawing(rgbaOf(rgb), { ...spec, objects });
  expect(at(found)).toBe(true);
  expect(at(found.map((o) => ({ ...o, x: o.x + 5 })))).toBe(false);
  expect(at(found.slice(1))).toBe(false);
});

test("a picture of another size is refused", () => {
  expect(() => detect(new Uint8ClampedArray(16))).toThrow(RangeError);
});

function rgbaOf(deflated: string): Uint8ClampedArray {
  const rgb = inflateSync(Buffer.from(deflated, "base64"));
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
  rgb.forEach((value, i) => {
    rgba[Math.floor(i / 3) * 4 + (i % 3)] = value;
  });
  return rgba;
}
