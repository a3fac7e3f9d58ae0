import { describe, expect, test } from "vitest";

import type { ImageInput } from "../../../src/base/options.ts";
import type { Pixels } from "../../../src/base/pixels.ts";
import { decodeImage } from "../../../src/pixels/decode-image.ts";
import { encodePng } from "../../../src/pixels/encode-png.ts";
import { pseudoRandom } from "../../support/damage-json.ts";
import golden from "../../golden/images/images.json" with { type: "json" };

// lossy decoders round differently, most of all where chroma is subsampled; a missing colour
// conversion or a wrong rotation moves the mean by far more
const LOSSY_MEAN_TOLERANCE = 3;

const DAMAGED_PER_FILE = 30;

const FILES = import.meta.glob<string>("../../golden/images/*.{png,jpg,gif,bmp,webp,avif}", {
  query: "?url&no-inline",
  import: "default",
  eager: true,
});

function addressOf(name: string): string {
  const address = FILES[`../../golden/images/${name}`];
  expect(address, name).toBeDefined();
  return address ?? "";
}

async function fileOf(name: string): Promise<Blob> {
  return (await fetch(addressOf(name))).blob();
}

function rgbHex({ data }: Pixels): string {
  const bytes = Array.from(data, (byte) => byte.toString(16).padStart(2, "0"));
  return bytes.filter((_, i) => i % 4 !== 3).join("");
}

function meanOf({ data }: Pixels): number[] {
  return [0, 1, 2].map((channel) => {
    const values = data.filter((_, i) => i % 4 === channel);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  });
}

function pixelAt({ data, width }: Pixels, x: number, y: number): number[] {
  return Array.from(data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4));
}

const SQUARE: Pixels = {
  width: 3,
  height: 2,
  data: Uint8ClampedArray.from({ length: 24 }, (_, i) => (i % 4 === 3 ? 255 : i * 10)),
};

function imageData(): ImageData {
  return new ImageData(SQUARE.data.slice(), SQUARE.width, SQUARE.height);
}

function drawn<T extends HTMLCanvasElement | OffscreenCanvas>(canvas: T): T {
  canvas.width = SQUARE.width;
  canvas.height = SQUARE.height;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.putImageData(imageData(), 0, 0);
  return canvas;
}

function percentEncoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

function dataUrl(type: string, text: string): string {
  return `data:${type};base64,${btoa(text)}`;
}

describe("decodeImage of files", () => {
  test.each(golden.images)(
    "reads $name as Pillow does",
    async ({ name, width, height, rgb, mean }) => {
      const pixels = await decodeImage(await fileOf(name));
      expect([pixels.width, pixels.height]).toEqual([width, height]);
      if (rgb !== undefined) return expect(rgbHex(pixels)).toBe(rgb);
      const difference = meanOf(pixels).map((value, i) => Math.abs(value - (mean?.[i] ?? -1000)));
      expect(Math.max(...difference)).toBeLessThan(LOSSY_MEAN_TOLERANCE);
    },
  );

  test("turns a picture as EXIF says", async () => {
    const pixels = await decodeImage(await fileOf("rotated.jpg"));
    // the red corner was left above; a quarter turn to the right brings it to the right
    expect(pixelAt(pixels, 11, 1)[0]).toBeGreaterThan(220);
    expect(pixelAt(pixels, 11, 1)[1]).toBeLessThan(60);
  });

  test("believes the bytes, not the type", async () => {
    const file = new Blob([await fileOf("plain.png")], { type: "image/jpeg" });
    expect(await decodeImage(file)).toMatchObject({ width: 21, height: 13 });
    const untyped = new File([await fileOf("plain.gif")], "photo");
    expect(await decodeImage(untyped)).toMatchObject({ width: 21, height: 13 });
  });
});

describe("decodeImage of addresses", () => {
  test("takes a relative address, a URL, a blob URL and a data URL", async () => {
    const file = await fileOf("plain.png");
    const absolute = new URL(addressOf("plain.png"), location.href);
    const blobUrl = URL.createObjectURL(file);
    const binary = String.fromCharCode(...new Uint8Array(await file.arrayBuffer()));
    const expected = await decodeImage(file);
    const addresses = [
      addressOf("plain.png"),
      absolute,
      blobUrl,
      dataUrl("image/png", binary),
      `data:image/png,${Array.from(binary, percentEncoded).join("")}`,
    ];
    for (const address of addresses) expect(await decodeImage(address)).toEqual(expected);
    URL.revokeObjectURL(blobUrl);
  });

  test("tells a missing file and an unreachable host", async () => {
    const missing = async (): Promise<Response> => new Response("", { status: 404 });
    await expect(
      decodeImage("https://example.org/a.png?key=secret", { fetch: missing }),
    ).rejects.toMatchObject({
      code: "download-failed",
      message: "The image at example.org answered with status 404.",
    });
    const broken = async (): Promise<Response> => {
      throw new TypeError("Failed to fetch");
    };
    await expect(decodeImage("https://example.org/a.png", { fetch: broken })).rejects.toMatchObject(
      {
        code: "download-failed",
      },
    );
  });

  test("stops a download that exceeds the limit", async () => {
    let pulled = 0;
    const endless = async (): Promise<Response> =>
      new Response(
        new ReadableStream({
          pull(controller) {
            pulled++;
            controller.enqueue(new Uint8Array(1000));
          },
        }),
      );
    const options = { fetch: endless, maxBytes: 10_000 };
    await expect(decodeImage("https://example.org/a", options)).rejects.toThrow(RangeError);
    expect(pulled).toBeLessThan(20);
  });

  test("rejects with the signal's reason", async () => {
    const controller = new AbortController();
    const waiting: typeof fetch = (_, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener("abort", () => reject(controller.signal.reason));
      });
    const options = { fetch: waiting, signal: controller.signal };
    const decoding = decodeImage("https://example.org/a", options);
    controller.abort(new Error("enough"));
    await expect(decoding).rejects.toThrow("enough");
    await expect(decodeImage(imageData(), options)).rejects.toThrow("enough");
  });

  test.each(["http://", "data:image/png;base64,%%%", "data:image/png;base64,@@"])(
    "refuses %s with a TypeError",
    async (address) => {
      await expect(decodeImage(address)).rejects.toThrow(TypeError);
    },
  );
});

describe("decodeImage of objects", () => {
  const makers: Record<string, () => ImageInput | Promise<ImageInput>> = {
    ImageData: imageData,
    ImageBitmap: () => createImageBitmap(imageData()),
    HTMLCanvasElement: () => drawn(document.createElement("canvas")),
    OffscreenCanvas: () => drawn(new OffscreenCanvas(1, 1)),
    VideoFrame: () => new VideoFrame(drawn(new OffscreenCanvas(1, 1)), { timestamp: 0 }),
    HTMLImageElement: async () => {
      const image = new Image();
      image.src = URL.createObjectURL(new Blob([await encodePng(SQUARE)]));
      return image;
    },
    "canvas with WebGL": () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [SQUARE.width, SQUARE.height];
      const gl = canvas.getContext("webgl", { preserveDrawingBuffer: true });
      gl?.clearColor(1, 0, 0, 1);
      gl?.clear(gl.COLOR_BUFFER_BIT);
      return canvas;
    },
  };

  test.each(Object.keys(makers))("reads a %s", async (kind) => {
    const source = await makers[kind]?.();
    const pixels = await decodeImage(source ?? "");
    expect([pixels.width, pixels.height]).toEqual([SQUARE.width, SQUARE.height]);
    if (kind === "canvas with WebGL")
      return expect(pixelAt(pixels, 0, 0)).toEqual([255, 0, 0, 255]);
    expect(pixels.data).toEqual(SQUARE.data);
  });

  test("leaves the caller's bitmap open and its data alone", async () => {
    const bitmap = await createImageBitmap(imageData());
    await decodeImage(bitmap);
    expect(bitmap.width).toBe(SQUARE.width);
    const data = imageData();
    const pixels = await decodeImage(data);
    pixels.data[0] = 123;
    expect(data.data[0]).toBe(0);
  });

  test("converts Display P3 to sRGB", async () => {
    const canvas = new OffscreenCanvas(1, 1);
    const context = canvas.getContext("2d", { colorSpace: "display-p3" });
    const data = new ImageData(Uint8ClampedArray.of(200, 50, 50, 255), 1, 1, {
      colorSpace: "display-p3",
    });
    context?.putImageData(data, 0, 0);
    for (const source of [data, canvas, await createImageBitmap(canvas)]) {
      const [red = 0, green = 0] = pixelAt(await decodeImage(source), 0, 0);
      expect(red).toBeGreaterThan(205);
      expect(green).toBeLessThan(45);
    }
  });
});

describe("decodeImage refuses", () => {
  const closed = async (): Promise<ImageBitmap> => {
    const bitmap = await createImageBitmap(imageData());
    bitmap.close();
    return bitmap;
  };
  const closedFrame = (): VideoFrame => {
    const frame = new VideoFrame(drawn(new OffscreenCanvas(1, 1)), { timestamp: 0 });
    frame.close();
    return frame;
  };
  const brokenImage = (): HTMLImageElement => {
    const image = new Image();
    image.src = "data:image/png;base64,AAAA";
    return image;
  };
  const cut = async (name: string, bytes: number): Promise<Blob> =>
    (await fileOf(name)).slice(0, bytes);

  test.each<[string, RegExp, () => ImageInput | Promise<ImageInput>]>([
    ["an empty file", /empty/, () => new Blob()],
    ["text", /not a PNG/, () => new Blob(["hello"])],
    ["SVG", /SVG/, () => new Blob(["<svg xmlns='http://www.w3.org/2000/svg'/>"])],
    ["SVG by type", /SVG/, () => new Blob(["body{}"], { type: "image/svg+xml" })],
    ["SVG by data URL", /SVG/, () => "data:image/svg+xml,<svg/>"],
    ["a PNG without pixels", /cannot be decoded/, () => cut("plain.png", 45)],
    ["a PNG that is cut off", /cut off/, () => cut("plain.png", 12)],
    ["a JPEG that is cut off", /cut off/, () => cut("lossy.jpg", 30)],
    ["a closed bitmap", /no pixels/, closed],
    ["a closed frame", /no pixels/, closedFrame],
    ["a canvas without size", /no pixels/, () => new OffscreenCanvas(0, 5)],
    ["a broken image element", /image element/, brokenImage],
    ["an image element without address", /image element/, () => new Image()],
  ])("%s with a TypeError", async (_name, message, make) => {
    const decoding = decodeImage(await make());
    await expect(decoding).rejects.toThrow(TypeError);
    await expect(decoding).rejects.toThrow(message);
  });

  test("what claims too many pixels, before it is decoded", async () => {
    const bytes = new Uint8Array(await (await fileOf("plain.png")).arrayBuffer());
    new DataView(bytes.buffer).setUint32(16, 100_000);
    new DataView(bytes.buffer).setUint32(20, 100_000);
    const decoding = decodeImage(new Blob([bytes]));
    await expect(decoding).rejects.toThrow(RangeError);
    await expect(decoding).rejects.toThrow("100000 x 100000 pixels, more than 64000000");
    await expect(decodeImage(imageData(), { maxPixels: 5 })).rejects.toThrow(RangeError);
  });

  test("or reads every damaged file, and nothing else happens", async () => {
    const next = pseudoRandom(5);
    for (const { name } of golden.images) {
      const bytes = new Uint8Array(await (await fileOf(name)).arrayBuffer());
      for (let round = 0; round < DAMAGED_PER_FILE; round++) {
        const damaged = bytes.slice(0, next(4) === 0 ? next(bytes.length) : bytes.length);
        for (let i = next(12); i >= 0; i--) damaged[next(damaged.length)] = next(256);
        const outcome = await decodeImage(new Blob([damaged]), { maxPixels: 10_000 }).then(
          ({ width, height, data }) => data.length === width * height * 4 && data.length <= 40_000,
          (error: unknown) => error instanceof TypeError || error instanceof RangeError,
        );
        expect(outcome, `${name}, round ${round}`).toBe(true);
      }
    }
  });

  test("too many bytes", async () => {
    const file = await fileOf("plain.png");
    await expect(decodeImage(file, { maxBytes: 100 })).rejects.toThrow(/more than 100/);
  });
});
