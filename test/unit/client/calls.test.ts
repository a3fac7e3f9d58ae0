import { afterEach, expect, test, vi } from "vitest";
import { generateTextCall } from "../../../src/client/calls.ts";

const DECODER = "../../../src/pixels/decode-image.ts";

afterEach(() => {
  vi.doUnmock(DECODER);
  vi.resetModules();
});

test("a decoder of pictures that cannot be loaded is no mistake of the caller", async () => {
  vi.doMock(DECODER, () => {
    throw new TypeError("Failed to fetch dynamically imported module");
  });
  const content = [{ type: "image", image: new Blob(["any"]) }] as const;
  const call = generateTextCall.check({ messages: [{ role: "user", content }] }, "a/b");
  await expect(call.prepare()).rejects.toMatchObject({
    code: "download-failed",
    details: { part: "the decoder of pictures" },
  });
});
