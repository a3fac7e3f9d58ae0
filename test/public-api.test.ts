// What applications may rely on: the names of the package's one entry point, each of them documented.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import * as api from "../src/index.ts";

const INDEX = join(import.meta.dirname, "../src/index.ts");

interface Export {
  readonly name: string;
  readonly file: string;
}

/** Every name that index.ts gives on, with the file that it comes from. */
function publicExports(): Export[] {
  const text = readFileSync(INDEX, "utf8");
  return [...text.matchAll(/export (?:type )?\{([^}]*)\} from "([^"]+)"/g)].flatMap(
    ([, names = "", file = ""]) =>
      names
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== "")
        .map((name) => ({ name, file: join(dirname(INDEX), file) })),
  );
}

/** True when a doc comment stands directly before the declaration of the name. */
function isDocumented({ name, file }: Export): boolean {
  const declaration = new RegExp(
    `\\*/\\nexport (?:async )?(?:const|function|class|interface|type) ${name}\\b`,
  );
  return declaration.test(readFileSync(file, "utf8"));
}

describe("the public API", () => {
  test("has these values", () => {
    expect(Object.keys(api).toSorted()).toMatchInlineSnapshot(`
      [
        "ModelError",
        "cache",
        "checkDevice",
        "loadModel",
      ]
    `);
  });

  test("has these names, types included", () => {
    const names = publicExports().map(({ name }) => name);
    expect(names.toSorted()).toMatchInlineSnapshot(`
      [
        "BackendKind",
        "CacheOptions",
        "CacheUsage",
        "CachedModel",
        "Capabilities",
        "ContentPartInput",
        "ConverseEvent",
        "ConverseOptions",
        "ConverseOutput",
        "DeviceReport",
        "DrawEvent",
        "DrawOutput",
        "EditImageOptions",
        "ErrorDetails",
        "FetchAnswer",
        "FetchLike",
        "FinishReason",
        "GenerateImageOptions",
        "GenerateTextOptions",
        "GeneratedImage",
        "GpuObstacle",
        "ImageEvent",
        "ImageInput",
        "ImageOrigin",
        "ImageTimings",
        "LoadOptions",
        "LoadPhase",
        "LoadProgress",
        "MessageInput",
        "Model",
        "ModelError",
        "ModelErrorCode",
        "ModelInfo",
        "Pace",
        "Pixels",
        "PreviewEvent",
        "Quantization",
        "Role",
        "Run",
        "RunEvent",
        "SamplingOptions",
        "SourceInput",
        "StageInfo",
        "StepEvent",
        "TaskName",
        "TextDeltaEvent",
        "TextResult",
        "TextUsage",
        "TrafficInfo",
        "WorkerFactories",
        "cache",
        "checkDevice",
        "loadModel",
      ]
    `);
  });

  test("is an explicit list: nothing is exported as a whole, renamed or declared in place", () => {
    const statements = readFileSync(INDEX, "utf8").match(/^export .*/gm) ?? [];
    const unusual = statements.filter((line) => !/^export (?:type )?\{/.test(line));
    expect(unusual).toEqual([]);
    expect(readFileSync(INDEX, "utf8")).not.toMatch(/ as /);
  });

  test("documents every name", () => {
    expect(publicExports().filter((one) => !isDocumented(one))).toEqual([]);
  });

  test("has the four methods, disposal and properties on a model", async () => {
    const { Model } = await import("../src/client/model.ts");
    const methods = Object.getOwnPropertyNames(Model.prototype).toSorted();
    expect(methods).toMatchInlineSnapshot(`
      [
        "constructor",
        "converse",
        "dispose",
        "editImage",
        "generateImage",
        "generateText",
        "info",
      ]
    `);
  });

  test("has six operations on the cache", () => {
    const names = ["list", "delete", "pin", "makeRoom", "clear", "usage"];
    expect(Object.keys(api.cache)).toEqual(names);
  });
});
