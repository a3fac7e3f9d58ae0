// Families whose code cannot be loaded: a page that is offline, or whose server has a newer version by now.
import { afterEach, describe, expect, test, vi } from "vitest";
import { detectFamily, familyById, familyIds } from "../../../src/models/registry.ts";
import { PUBLISHED } from "../../support/published-configs.ts";

const CHUNKS = {
  chameleon: "../../../src/models/chameleon/index.ts",
  transfusion: "../../../src/models/transfusion/index.ts",
};

afterEach(() => {
  for (const chunk of Object.values(CHUNKS)) vi.doUnmock(chunk);
  vi.resetModules();
});

function breakChunk(id: keyof typeof CHUNKS): void {
  vi.doMock(CHUNKS[id], () => {
    throw new TypeError("Failed to fetch dynamically imported module");
  });
}

function configOf(id: string): unknown {
  return Object.values(PUBLISHED).find(({ family }) => family === id)?.files["config.json"];
}

const lost = (id: string) => ({ code: "download-failed", details: { part: `family ${id}` } });

describe("familyById", () => {
  test("says that a family's code could not be loaded", async () => {
    breakChunk("chameleon");
    await expect(familyById("chameleon")).rejects.toMatchObject(lost("chameleon"));
  });
});

describe("detectFamily", () => {
  test("does without the code of other families", async () => {
    // The first that is asked, and the last.
    expect(familyIds().at(0)).toBe("chameleon");
    expect(familyIds().at(-1)).toBe("transfusion");
    breakChunk("chameleon");
    breakChunk("transfusion");
    for (const { family, files } of Object.values(PUBLISHED)) {
      if (family in CHUNKS) continue;
      expect((await detectFamily(files["config.json"])).id).toBe(family);
    }
  });

  test("says so when the code of the family itself could not be loaded", async () => {
    breakChunk("chameleon");
    await expect(detectFamily(configOf("chameleon"))).rejects.toMatchObject(lost("chameleon"));
    await expect(detectFamily({ model_type: "other" })).rejects.toMatchObject(lost("chameleon"));
  });

  test("knows a checkpoint of no family", async () => {
    await expect(detectFamily({ model_type: "other" })).rejects.toMatchObject({
      code: "unsupported-model",
      details: { modelType: "other" },
    });
  });

  test("takes no family's checkpoint for another's", async () => {
    for (const { family, files } of Object.values(PUBLISHED)) {
      for (const id of familyIds()) {
        expect((await familyById(id)).matches(files["config.json"])).toBe(id === family);
      }
    }
  });
});
