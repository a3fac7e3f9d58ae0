import { describe, expect, test } from "vitest";

import { decodeImage } from "../../../src/pixels/decode-image.ts";
import { GeneratedImage, type ImageOrigin } from "../../../src/pixels/image-output.ts";
import { readPngTexts } from "../../../src/pixels/png-text.ts";

const ORIGIN: ImageOrigin = {
  prompt: "a red fox, 狐",
  seed: 42,
  steps: 30,
  guidance: 2,
  model: "deepseek-ai/JanusFlow-1.3B",
  versions: { "web-umm": "0.1.0", "onnxruntime-web": "1.30.0" },
};

function picture(origin: ImageOrigin = ORIGIN): GeneratedImage {
  const data = Uint8ClampedArray.from({ length: 7 * 5 * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : (i * 37) % 256,
  );
  return new GeneratedImage({ width: 7, height: 5, data }, origin);
}

async function texts(image: GeneratedImage): Promise<Record<string, string>> {
  const bytes = new Uint8Array(await (await image.toBlob()).arrayBuffer());
  return Object.fromEntries(readPngTexts(bytes));
}

describe("GeneratedImage", () => {
  test("has its pixels as ImageData", () => {
    const image = picture();
    expect(image.imageData).toBeInstanceOf(ImageData);
    expect([image.width, image.height]).toEqual([7, 5]);
  });

  test("becomes a PNG file that the browser decodes to the same bytes", async () => {
    const image = picture();
    const blob = await image.toBlob();
    expect(blob.type).toBe("image/png");
    expect((await decodeImage(blob)).data).toEqual(image.imageData.data);
  });

  test("keeps colours under transparency in its file", async () => {
    const data = Uint8ClampedArray.of(10, 20, 30, 0, 200, 100, 50, 1, 1, 2, 3, 128, 4, 5, 6, 255);
    const blob = await new GeneratedImage({ width: 4, height: 1, data }, ORIGIN).toBlob();
    expect((await decodeImage(blob)).data).toEqual(data);
  });

  test("tells in its file how it was made", async () => {
    expect(await texts(picture())).toEqual({
      prompt: "a red fox, 狐",
      seed: "42",
      steps: "30",
      guidance: "2",
      model: "deepseek-ai/JanusFlow-1.3B",
      Software: "web-umm 0.1.0, onnxruntime-web 1.30.0",
    });
    expect(await texts(picture({ ...ORIGIN, negativePrompt: "rain", image: 3 }))).toMatchObject({
      negative_prompt: "rain",
      image: "3",
    });
  });

  test("becomes a bitmap", async () => {
    const bitmap = await picture().toBitmap();
    expect((await decodeImage(bitmap)).data).toEqual(picture().imageData.data);
    bitmap.close();
  });
});
