import { afterEach, describe, expect, test } from "vitest";

import { parseSource } from "../../../src/base/source-location.ts";
import { openCompanion } from "../../../src/weights/companion.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import type { FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";
import { textFile } from "../../support/tiny-checkpoint.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const TEXT = { maxBytes: 1000 };

let server: FaultServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe("a hub repository", () => {
  test("is pinned to the commit of the first answer", async () => {
    server = await startFaultServer(
      {
        "/a/b/resolve/main/config.json": textFile("{}"),
        [`/a/b/resolve/${COMMIT}/tokenizer.json`]: textFile("[]"),
      },
      { "X-Repo-Commit": COMMIT },
    );
    const source = await openSource(parseSource("a/b"), { hubUrl: `${server.url}/` });
    expect(source.revision).toBe("main");
    expect(await source.readText("config.json", TEXT)).toBe("{}");
    expect(source.revision).toBe(COMMIT);
    expect(await source.readText("tokenizer.json", TEXT)).toBe("[]");
  });

  test("may be a branch with slashes", async () => {
    server = await startFaultServer({});
    const source = await openSource(parseSource("a/b@refs/pr/1"), { hubUrl: server.url });
    await source.has("vae/config.json");
    const path = server.requests[0]?.path ?? "";
    expect(path).toBe("/a/b/resolve/refs%2Fpr%2F1/vae/config.json");
  });

  test("has an id without contacting the hub; another hub is another id", async () => {
    const official = await openSource(parseSource("a/b@v1"));
    const mirror = await openSource(parseSource("a/b@v1"), { hubUrl: "https://mirror.example" });
    expect(official.id).toBe("a/b@v1");
    expect(mirror.id).toBe("https://mirror.example/a/b@v1");
  });

  test("is asked through the caller's fetch", async () => {
    const seen: string[] = [];
    const source = await openSource(parseSource("a/b"), {
      fetch: async (url) => {
        seen.push(url);
        return new Response("{}", { status: 200 });
      },
    });
    expect(await source.readText("config.json", TEXT)).toBe("{}");
    expect(seen).toEqual(["https://huggingface.co/a/b/resolve/main/config.json"]);
  });
});

describe("a folder on a host", () => {
  test("sends its query with every file and keeps it out of its id", async () => {
    server = await startFaultServer({ "/m/x y.json?sig=1": textFile("{}") });
    const source = await openSource(parseSource(`${server.url}/m/?sig=1`));
    expect(await source.readText("x y.json", TEXT)).toBe("{}");
    expect(source.id).toBe(`${server.url}/m`);
  });

  test("is another one where its query selects another, not where it only lets in", async () => {
    const [plain, signed, renewed, second, third] = await Promise.all(
      ["", "?X-Amz-Signature=a&Expires=1", "?token=b", "?v=2", "?v=3&token=c"].map(
        async (query) => (await openSource(parseSource(`https://host.example/m${query}`))).id,
      ),
    );
    expect([signed, renewed]).toEqual([plain, plain]);
    expect(new Set([plain, second, third]).size).toBe(3);
    expect(second).not.toContain("v=2");
  });

  test("has no file where every path answers with a page", async () => {
    server = await startFaultServer({ "/m/a": textFile("x"), "/m/b": textFile("y") });
    server.use({ kind: "html", file: "a" });
    const source = await openSource(parseSource(`${server.url}/m`));
    expect(await source.has("a")).toBe(false);
    expect(await source.has("b")).toBe(true);
    expect(await source.has("c")).toBe(false);
  });

  test("refuses a text that is larger than it may be", async () => {
    server = await startFaultServer({ "/m/a.json": textFile("x".repeat(1001)) });
    const source = await openSource(parseSource(`${server.url}/m`));
    await expect(source.readText("a.json", TEXT)).rejects.toMatchObject({
      details: { reason: "too-large" },
    });
  });
});

describe("local files", () => {
  const folder = (lastModified: number): File[] => [
    picked("tiny/config.json", "{}", lastModified),
    picked("tiny/vae/config.json", '{"vae":1}', lastModified),
  ];

  test("are found below the picked folder", async () => {
    const source = await openSource({ kind: "files", files: folder(5) });
    expect(await source.readText("config.json", TEXT)).toBe("{}");
    expect(await source.at("vae").readText("config.json", TEXT)).toBe('{"vae":1}');
    expect(await source.at("vae").size("config.json")).toBe(9);
    expect(await source.has("model.safetensors")).toBe(false);
  });

  test("are the same source again, until one of them changes", async () => {
    const ids = await Promise.all(
      [folder(5), folder(5), folder(6)].map((files) => openSource({ kind: "files", files })),
    );
    expect(ids[0]?.id).toBe(ids[1]?.id);
    expect(ids[0]?.id).not.toBe(ids[2]?.id);
  });

  test("of the same name cannot be told apart", async () => {
    const files = [new File(["1"], "config.json"), new File(["2"], "config.json")];
    await expect(openSource({ kind: "files", files })).rejects.toThrow(TypeError);
  });

  test("that are missing or cut are named", async () => {
    const source = await openSource({ kind: "files", files: folder(5) });
    await expect(source.readText("tokenizer.json", TEXT)).rejects.toThrow(/"tokenizer\.json"/);
    await expect(source.readRange("config.json", 0, 9)).rejects.toMatchObject({
      code: "download-failed",
      details: { reason: "truncated" },
    });
  });
});

describe("openCompanion", () => {
  const request = { name: "vae", repository: "authors/vae" };

  test("is what the user names", async () => {
    const source = await openSource({ kind: "files", files: [picked("t/a", "", 0)] });
    const companion = await openCompanion({ ...request, source, override: "me/vae@v2" }, {});
    expect(companion.id).toBe("me/vae@v2");
  });

  test("else the subfolder of its name", async () => {
    const files = [picked("t/config.json", "", 0), picked("t/vae/config.json", "", 0)];
    const source = await openSource({ kind: "files", files });
    expect((await openCompanion({ ...request, source }, {})).id).toBe(`${source.id}/vae`);
  });

  test("else what the authors use", async () => {
    const source = await openSource({ kind: "files", files: [picked("t/config.json", "", 0)] });
    expect((await openCompanion({ ...request, source }, {})).id).toBe("authors/vae@main");
  });
});

function picked(path: string, content: string, lastModified: number): File {
  const file = new File([content], path.slice(path.lastIndexOf("/") + 1), { lastModified });
  Object.defineProperty(file, "webkitRelativePath", { value: path });
  return file;
}
