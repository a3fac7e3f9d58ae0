// Pictures to talk about: the edits of a family's score set, which no embedded model was trained on.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PNG } from "pngjs";
import type { PlacedObject } from "../score/check-drawing.ts";
import { SIZE } from "../score/detector.ts";
import type { EditItem } from "../score/page.ts";
import { ROOT } from "../support/set-up.mjs";
import type { PlainPicture } from "./api/page.ts";

/** A picture, and what one change makes of it. */
export interface HeldOutEdit {
  /** As "make the star blue". */
  readonly prompt: string;
  readonly before: PlainPicture;
  /** All that the changed picture shows. */
  readonly after: readonly PlacedObject[];
  /** Pixels that an object may be off its place. */
  readonly within: number;
}

/**
 * The first changes of colour that the Python reference does right in f32, when it is asked for nothing else.
 *
 * @param family - folder of test/score
 */
export function recolourings(family: string, count: number): HeldOutEdit[] {
  const folder = join(ROOT, "test/score", family);
  const read = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), "utf8"));
  const items = read("edits.json") as readonly EditItem[];
  const { edits } = read("reference.json") as { edits: { verdicts: readonly boolean[] } };
  const sheet = PNG.sync.read(readFileSync(join(folder, "edits.png")));
  return items
    .filter(({ kind }, place) => kind === "recolour" && edits.verdicts[place])
    .slice(0, count)
    .map(({ prompt, image, objects, within }) => ({
      prompt,
      before: tileOf(sheet, image),
      after: objects,
      within,
    }));
}

/** A PNG file of the picture. */
export function pngOf({ width, height, data }: PlainPicture): Buffer {
  const png = new PNG({ width, height });
  png.data.set(data);
  return PNG.sync.write(png);
}

function tileOf(sheet: PNG, index: number): PlainPicture {
  const columns = sheet.width / SIZE;
  const tile = new PNG({ width: SIZE, height: SIZE });
  const [x, y] = [(index % columns) * SIZE, Math.floor(index / columns) * SIZE];
  PNG.bitblt(sheet, tile, x, y, SIZE, SIZE, 0, 0);
  return { width: SIZE, height: SIZE, data: [...tile.data] };
}
