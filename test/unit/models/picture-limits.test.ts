// Numbers of a configuration that decide how large a picture becomes, or that must go together for a graph to be
// built: too much of them is told when the files are read, by the file and the key.
import { describe, expect, test } from "vitest";
import { EveryName } from "../../../src/cli/read-config.ts";
import { parseChameleonConfig } from "../../../src/models/chameleon/config.ts";
import type { CheckpointFiles } from "../../../src/models/family.ts";
import { parseJanusConfig } from "../../../src/models/janus/config.ts";
import { parseNexusGenConfig } from "../../../src/models/nexus-gen/config.ts";
import { cutPatches, gridInputs, tokenGrid } from "../../../src/models/nexus-gen/picture.ts";
import { questionRaster } from "../../../src/models/nexus-gen/vision.ts";
import { parseOmniGenConfig } from "../../../src/models/omnigen/config.ts";
import { parsePiscesConfig } from "../../../src/models/pisces/config.ts";
import { parseTransfusionConfig } from "../../../src/models/transfusion/config.ts";
import { readCheckpointFiles } from "../../support/checkpoint-files.ts";
import { janusCheckpoint } from "../../support/janus-goldens.ts";
import { omniGenFolder } from "../../support/omnigen-goldens.ts";
import { readPiscesFiles } from "../../support/pisces-goldens.ts";
import { PUBLISHED } from "../../support/published-configs.ts";

type Json = Readonly<Record<string, unknown>>;

const NAMES = new EveryName();
const goldenFiles = (path: string): CheckpointFiles =>
  readCheckpointFiles(new URL(`../../golden/${path}/checkpoint/`, import.meta.url));

/** `files` with values laid over those of one file; dots lead inwards. */
function changed(files: CheckpointFiles, file: string, change: Json): CheckpointFiles {
  const copy = structuredClone((files[file] ?? {}) as Json) as Record<string, unknown>;
  for (const [path, value] of Object.entries(change)) {
    const keys = path.split(".");
    let inside = copy;
    for (const key of keys.slice(0, -1)) inside = (inside[key] ??= {}) as typeof inside;
    inside[keys.at(-1) ?? ""] = value;
  }
  return { ...files, [file]: copy };
}

describe("Nexus-Gen's pictures", () => {
  const files = PUBLISHED["Nexus-GenV2"]?.files ?? {};
  const PROCESSOR = "preprocessor_config.json";
  const published = { min_pixels: 3136, max_pixels: 12845056 };

  test("keep the limits that are published", () => {
    const { seen } = parseNexusGenConfig(changed(files, PROCESSOR, published), NAMES);
    expect(seen).toMatchObject({ processorMinPixels: 3136, processorMaxPixels: 16384 * 28 ** 2 });
  });

  test.each([
    [PROCESSOR, "min_pixels", 2 ** 30],
    [PROCESSOR, "min_pixels", 12845056],
    [PROCESSOR, "max_pixels", 2 ** 30],
    ["config.json", "nexus_gen.max_pixels", 12845056],
    ["config.json", "nexus_gen.source_grid", 64],
    ["config.json", "vision_config.spatial_merge_size", 16, { "vision_config.patch_size": 256 }],
    ["config.json", "vision_config.window_size", 27],
    ["config.json", "vision_config.num_heads", 128],
  ])("%s: %s may not be %i", (file, key, value, more: Json = {}) => {
    const asked = changed(files, file, { [key]: value, ...more });
    expect(() => parseNexusGenConfig(asked, NAMES)).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }) as Error,
    );
  });

  test("of any size become a mask of at most 200 MB", { timeout: 60_000 }, () => {
    const most = 6144 * 14 ** 2;
    const asked = changed(files, PROCESSOR, { min_pixels: most });
    const config = parseNexusGenConfig(asked, NAMES);
    for (const [width, height] of [
      [1, 1],
      [1, 200],
      [300, 200],
    ] as const) {
      const data = new Uint8ClampedArray(width * height * 4);
      const raster = questionRaster({ width, height, data }, config);
      const patches = cutPatches(raster, config.vision, config.normalization);
      expect(patches.byteLength).toBeLessThan(2 ** 28);
      const grid = tokenGrid(raster, config.vision);
      expect(grid.rows * grid.columns * 4).toBeLessThan(7000);
    }
    const square = { rows: 39, columns: 39 };
    expect(gridInputs(square, config.vision).windows.byteLength).toBeLessThan(2e8);
  });
});

describe("other configurations", () => {
  const omnigen = readCheckpointFiles(new URL("checkpoint/", omniGenFolder("a")));
  const transfusion = goldenFiles("transfusion/a");
  const janus = readCheckpointFiles(janusCheckpoint("a"));
  const pisces = readPiscesFiles("a");
  const chameleon = goldenFiles("chameleon/anole");
  const VAE = "vae/config.json";

  test.each([
    [
      "omnigen",
      "a token of many pixels",
      () => changed(omnigen, "config.json", { patch_size: 16 }),
    ],
    ["omnigen", "a huge picture", () => changed(omnigen, "config.json", { sample_size: 4096 })],
    ["omnigen", "groups of no whole channels", () => changed(omnigen, VAE, { norm_num_groups: 7 })],
    [
      "transfusion",
      "a huge picture",
      () => changed(transfusion, "config.json", { modality_default_shape: [4096, 4096] }),
    ],
    [
      "transfusion",
      "an autoencoder of many levels",
      () => changed(transfusion, VAE, { block_out_channels: Array<number>(16).fill(32) }),
    ],
    [
      "pisces",
      "patches larger than the picture",
      () => changed(pisces, "config.json", { "vision_config.patch_size": 33 }),
    ],
    ["pisces", "a huge picture", () => changed(pisces, "unet/config.json", { sample_size: 4096 })],
    [
      "janus",
      "a core of a thousand layers",
      () => changed(janus, "config.json", { "language_config.num_hidden_layers": 1000 }),
    ],
    [
      "janus",
      "channels of no whole groups",
      () => changed(janus, "config.json", { "gen_vision_config.params.ch": 33 }),
    ],
    [
      "chameleon",
      "pictures of 8192 px",
      () => changed(chameleon, "config.json", { "vq_config.resolution": 8192 }),
    ],
  ])("%s: %s", (family, _what, filesOf) => {
    const parse = {
      omnigen: (files: CheckpointFiles) => parseOmniGenConfig(files, NAMES),
      transfusion: parseTransfusionConfig,
      pisces: parsePiscesConfig,
      janus: parseJanusConfig,
      chameleon: (files: CheckpointFiles) => parseChameleonConfig(files, NAMES),
    }[family as "omnigen"];
    expect(() => parse(filesOf())).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }) as Error,
    );
  });
});
