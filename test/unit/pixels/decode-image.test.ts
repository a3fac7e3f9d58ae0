// What decodeImage refuses before anything decodes; test/browser has the decoding.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { decodeImage, MAX_IMAGE_SIDE } from "../../../src/pixels/decode-image.ts";
import { withSize } from "../../support/image-bombs.ts";

const PNG = readFileSync(new URL("../../golden/images/plain.png", import.meta.url));

test.each([
  [MAX_IMAGE_SIDE + 1, 1],
  [1, 64_000_000],
])("a line of %i x %i pixels is longer than any canvas", async (width, height) => {
  const file = new Blob([withSize("png", PNG, { width, height })]);
  const decoding = decodeImage(file);
  await expect(decoding).rejects.toThrow(RangeError);
  await expect(decoding).rejects.toThrow(`${width} x ${height} pixels`);
  await expect(decoding).rejects.toThrow(String(MAX_IMAGE_SIDE));
});
