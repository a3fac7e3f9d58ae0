// What every preprocessor_config.json says in the same words, checked against the tower that reads the picture: a
// value that does not go with it would give a garbled picture, or numbers that are none, and no error.
import type { Normalization } from "../pixels/preprocess.ts";
import type { ConfigReader } from "./config-reader.ts";

/** Most that a normalised pixel may be: published files stay below 3, and f16 ends at 65504 behind a tower's sums. */
const MAX_PIXEL_NUMBER = 1000;

/**
 * Mean, deviation and factor of the pixels.
 *
 * @param usual - what stands for absent lists
 * @throws ModelError checkpoint-invalid when a deviation is not above 0, or pixels would leave the range of f16
 */
export function readNormalization(
  reader: ConfigReader,
  usual: Pick<Normalization, "mean" | "std">,
): Normalization {
  const rescaleFactor = reader.number("rescale_factor", {
    min: 1e-9,
    max: MAX_PIXEL_NUMBER / 255,
    fallback: 1 / 255,
  });
  const mean = reader.numbers("image_mean", usual.mean);
  if (mean.some((value) => Math.abs(value) > MAX_PIXEL_NUMBER)) {
    throw reader.wrong("image_mean", `numbers up to ${MAX_PIXEL_NUMBER}`);
  }
  const std = reader.numbers("image_std", usual.std);
  const isFine = (deviation: number, channel: number): boolean => {
    const shift = mean[channel] ?? 0;
    const reach = Math.max(Math.abs(shift), Math.abs(255 * rescaleFactor - shift));
    return deviation > 0 && reach / deviation <= MAX_PIXEL_NUMBER;
  };
  if (!std.every(isFine)) {
    throw reader.wrong("image_std", "numbers above 0 that leave pixels of a usual size");
  }
  return { rescaleFactor, mean, std };
}

/**
 * Checks that pictures get the side that the tower reads; a file that names none means that side.
 *
 * @throws ModelError checkpoint-invalid for another `image_size` or `size`
 */
export function checkPictureSide(reader: ConfigReader, towerSide: number): void {
  const rule = { min: towerSide, max: towerSide, fallback: towerSide };
  reader.integer("image_size", rule);
  const size = reader.section("size");
  for (const side of ["height", "width"]) size.integer(side, rule);
}
