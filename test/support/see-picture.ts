// The pictures of every family on their way to its tower or encoder, as far as no device is needed: what a
// configuration alone may make of a small picture.
import type { Pixels } from "../../src/base/pixels.ts";
import type { ChameleonConfig } from "../../src/models/chameleon/config.ts";
import type { JanusConfig } from "../../src/models/janus/config.ts";
import type { JanusFlowConfig } from "../../src/models/janus-flow/config.ts";
import type { NexusGenConfig } from "../../src/models/nexus-gen/config.ts";
import { cutPatches, gridInputs, tokenGrid } from "../../src/models/nexus-gen/picture.ts";
import { editRaster, questionRaster, sourceRaster } from "../../src/models/nexus-gen/vision.ts";
import type { OmniGenConfig } from "../../src/models/omnigen/config.ts";
import { inputGrid } from "../../src/models/omnigen/plan.ts";
import type { PiscesConfig } from "../../src/models/pisces/config.ts";
import { picturePixels } from "../../src/models/pisces/writer.ts";
import type { TransfusionConfig } from "../../src/models/transfusion/config.ts";
import { pixelsPerPosition } from "../../src/models/transfusion/latents.ts";
import { signedPlanes } from "../../src/models/transfusion/pictures.ts";
import { centreSquare } from "../../src/pixels/centre-square.ts";
import { cropToGrid, toSignedPlanes } from "../../src/pixels/crop-to-grid.ts";
import { preprocess } from "../../src/pixels/preprocess.ts";

type See<Config> = (config: Config, picture: Pixels) => void;

const seeTile: See<JanusConfig | JanusFlowConfig> = (config, picture) =>
  void preprocess(picture, config.preprocess);

const seeWindows: See<NexusGenConfig> = (config, picture) => {
  for (const rasterOf of [questionRaster, editRaster, sourceRaster]) {
    const raster = rasterOf(picture, config);
    cutPatches(raster, config.vision, config.normalization);
    gridInputs(tokenGrid(raster, config.vision), config.vision);
  }
};

const seePlanes: See<TransfusionConfig> = (config, picture) => {
  const side = pixelsPerPosition(config);
  const [rows, columns] = config.defaultGrid;
  signedPlanes(picture, columns * side, rows * side);
};

const BY_FAMILY = {
  chameleon: ({ imageSize }: ChameleonConfig, picture: Pixels) =>
    void centreSquare(picture, imageSize),
  janus: seeTile,
  "janus-flow": seeTile,
  "nexus-gen": seeWindows,
  omnigen: (config: OmniGenConfig, picture: Pixels) =>
    void toSignedPlanes(cropToGrid(picture, inputGrid(config))),
  pisces: (config: PiscesConfig, picture: Pixels) => void picturePixels(picture, config),
  transfusion: seePlanes,
};

/** Prepares a picture as the family with that id does. @throws Error for an unknown family */
export function seePicture(family: string, config: unknown, picture: Pixels): void {
  if (!Object.hasOwn(BY_FAMILY, family)) throw new Error(`how does ${family} see a picture?`);
  const see = BY_FAMILY[family as keyof typeof BY_FAMILY] as See<unknown>;
  see(config, picture);
}
