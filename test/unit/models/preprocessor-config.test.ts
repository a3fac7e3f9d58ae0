// What a preprocessor_config.json may say, for every family that reads one: a value that does not go with the
// tower would give a garbled picture, or numbers that are none, without an error.
import { describe, expect, test } from "vitest";
import { EveryName } from "../../../src/cli/read-config.ts";
import type { CheckpointFiles } from "../../../src/models/family.ts";
import { parseJanusConfig } from "../../../src/models/janus/config.ts";
import { parseJanusFlowConfig } from "../../../src/models/janus-flow/config.ts";
import { parseNexusGenConfig } from "../../../src/models/nexus-gen/config.ts";
import { parsePiscesConfig } from "../../../src/models/pisces/config.ts";
import { readCheckpointFiles } from "../../support/checkpoint-files.ts";
import { janusCheckpoint } from "../../support/janus-goldens.ts";
import { goldenFolder as janusFlowFolder } from "../../support/janus-flow-goldens.ts";
import { nexusGenFolder } from "../../support/nexus-gen-goldens.ts";
import { readPiscesFiles } from "../../support/pisces-goldens.ts";

interface Case {
  readonly files: CheckpointFiles;
  /** Side of the pictures that the tower reads. */
  readonly side?: number;
  readonly parse: (files: CheckpointFiles) => unknown;
}

const FAMILIES: Readonly<Record<string, Case>> = {
  janus: {
    files: readCheckpointFiles(janusCheckpoint("a")),
    side: 16,
    parse: parseJanusConfig,
  },
  "janus of transformers": {
    files: readCheckpointFiles(janusCheckpoint("a-transformers")),
    side: 16,
    parse: parseJanusConfig,
  },
  "janus-flow": {
    files: readCheckpointFiles(new URL("checkpoint/", janusFlowFolder("a"))),
    side: 32,
    parse: parseJanusFlowConfig,
  },
  pisces: { files: readPiscesFiles("b"), side: 45, parse: parsePiscesConfig },
  "nexus-gen": {
    files: readCheckpointFiles(new URL("checkpoint/", nexusGenFolder("v2"))),
    parse: (files) => parseNexusGenConfig(files, new EveryName()),
  },
};

const NAME = "preprocessor_config.json";

function parseWith({ files, parse }: Case, change: object): unknown {
  return parse({ ...files, [NAME]: { ...(files[NAME] as object), ...change } });
}

function refusal(key: string): object {
  return expect.objectContaining({
    code: "checkpoint-invalid",
    message: expect.stringMatching(new RegExp(`${NAME}.*${key}`)) as unknown,
  }) as object;
}

describe.each(Object.entries(FAMILIES))("%s", (_name, one) => {
  test("reads its own file", () => {
    expect(() => parseWith(one, {})).not.toThrow();
  });

  test.each([[[0.5, 0, 0.5]], [[-1, 1, 1]], [[1e-300, 1, 1]], [[Infinity, 1, 1]]])(
    "refuses to divide by %j",
    (deviations) => {
      expect(() => parseWith(one, { image_std: deviations })).toThrow(refusal("image_std"));
    },
  );

  test.each([
    ["image_mean", [1e308, 0.5, 0.5]],
    ["rescale_factor", 900],
  ])("refuses numbers that leave f16: %s %j", (key, value) => {
    expect(() => parseWith(one, { [key]: value })).toThrow(refusal(key));
  });
});

const SQUARE = Object.entries(FAMILIES).filter(([, { side }]) => side !== undefined);

describe.each(SQUARE)("%s", (_name, one) => {
  const side = one.side ?? 0;

  test.each([-2, 1])("refuses pictures of another side than the tower's by %i", (more) => {
    const other = side + more;
    const asked = { image_size: undefined, size: { height: other, width: other } };
    expect(() => parseWith(one, asked)).toThrow(refusal("size"));
    expect(() => parseWith(one, { size: { height: side, width: other } })).toThrow(refusal("size"));
  });

  test("takes the side as transformers writes it", () => {
    const asked = { image_size: undefined, size: { height: side, width: side } };
    expect(() => parseWith(one, asked)).not.toThrow();
  });
});

const BY_DEEPSEEK = SQUARE.filter(([name]) => name.startsWith("janus"));

describe.each(BY_DEEPSEEK)("%s", (_name, one) => {
  const side = one.side ?? 0;

  test.each([-2, 1])("refuses an image_size other than the tower's by %i", (more) => {
    expect(() => parseWith(one, { image_size: side + more })).toThrow(refusal("image_size"));
  });

  test("refuses a least side that is longer than the picture", () => {
    expect(() => parseWith(one, { min_size: side })).not.toThrow();
    expect(() => parseWith(one, { min_size: side + 1 })).toThrow(refusal("min_size"));
  });
});
