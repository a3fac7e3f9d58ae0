// Bytes of a bitmap. A 2D canvas stores colours multiplied by alpha and so forgets what is under
// transparency; vision models were trained on pictures whose alpha is simply dropped. WebGL gives the
// colours as they are, so it reads the pictures that are not opaque.
import { present } from "../base/assert.ts";
import type { Pixels } from "../base/pixels.ts";

/**
 * RGBA of a bitmap, not premultiplied. Where WebGL is missing or the picture is larger than its textures,
 * colours of transparent pixels are approximate.
 *
 * @throws SecurityError when the bitmap came from another origin that does not allow reading
 */
export function readPixels(bitmap: ImageBitmap): Pixels {
  const pixels = readByCanvas(bitmap);
  return isOpaque(pixels) ? pixels : (readByTexture(bitmap) ?? pixels);
}

function readByCanvas(bitmap: ImageBitmap): Pixels {
  const { width, height } = bitmap;
  const context = present(
    // kept in main memory: it is read once and never shown
    new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true }),
    "a 2D context",
  );
  context.drawImage(bitmap, 0, 0);
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

function isOpaque({ data }: Pixels): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}

function readByTexture(bitmap: ImageBitmap): Pixels | undefined {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2", { antialias: false, depth: false });
  if (gl === null) return undefined;
  try {
    if (Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return undefined;
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    const texture = present(gl.getParameter(gl.TEXTURE_BINDING_2D) as WebGLTexture, "a texture");
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    const bytes = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    if (gl.getError() !== gl.NO_ERROR) return undefined;
    return { width, height, data: new Uint8ClampedArray(bytes.buffer) };
  } finally {
    // browsers keep few contexts; this one would otherwise live until garbage collection
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
