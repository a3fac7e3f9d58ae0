import { describe, expect, test } from "vitest";

import { parseSource } from "../../../src/base/source-location.ts";

const PAGE = "https://app.example/demo/index.html";

describe("parseSource", () => {
  test.each([
    ["deepseek-ai/JanusFlow-1.3B", "deepseek-ai/JanusFlow-1.3B", "main"],
    ["a/b.c_d@v1.0", "a/b.c_d", "v1.0"],
    ["a/b@refs/pr/1", "a/b", "refs/pr/1"],
    ["https://huggingface.co/a/b", "a/b", "main"],
    ["https://huggingface.co/a/b/tree/refs%2Fpr%2F1", "a/b", "refs/pr/1"],
    ["https://hf.co/a/b/", "a/b", "main"],
  ])("%s is a repository of the hub", (name, id, revision) => {
    expect(parseSource(name, PAGE)).toEqual({ kind: "hub", id, revision });
  });

  test.each([
    ["./models/a", "https://app.example/demo/models/a"],
    ["../a/", "https://app.example/a/"],
    ["/a/b", "https://app.example/a/b"],
    ["https://host/a/b?sig=1#x", "https://host/a/b?sig=1"],
    [
      "https://huggingface.co/a/b/resolve/main/vae/",
      "https://huggingface.co/a/b/resolve/main/vae/",
    ],
    ["app://shell/models/a", "app://shell/models/a"],
  ])("%s is the folder %s", (name, url) => {
    expect(parseSource(name, PAGE)).toEqual({ kind: "url", url });
  });

  test("a URL object is a folder", () => {
    expect(parseSource(new URL("https://host/a"))).toEqual({ kind: "url", url: "https://host/a" });
  });

  test.each([
    "",
    "janus",
    "a/b/c",
    "a/b@",
    "a/b@../..",
    "a/b@x//y",
    "a b/c",
    "data:text/plain,x",
    "blob:https://x/1",
    "javascript:alert(1)",
    "./a", // Without a page there is nothing to be relative to.
  ])("refuses the string %j", (name) => {
    expect(() => parseSource(name)).toThrow(RangeError);
  });

  test("takes files and folders of the device", () => {
    const files = [new File([], "config.json")];
    expect(parseSource({ files })).toEqual({ kind: "files", files });
  });

  test.each([[undefined], [null], [7], [{}], [{ files: [] }], [{ files: ["a"] }], [{ files: 1 }]])(
    "refuses %j as of the wrong type",
    (input) => {
      // @ts-expect-error: what JavaScript callers may pass
      expect(() => parseSource(input)).toThrow(TypeError);
    },
  );
});
