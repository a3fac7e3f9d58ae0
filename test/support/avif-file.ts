// AVIF files made of their boxes: what a header reader looks at, without a picture inside.

interface Size {
  readonly width: number;
  readonly height: number;
}

/** A box: its length, its four letters, its body. */
export function box(type: string, ...body: (readonly number[])[]): number[] {
  const inside = body.flat();
  return [...big(8 + inside.length, 4), ...letters(type), ...inside];
}

/** A box whose length is told in eight bytes behind its letters. */
export function wideBox(type: string, ...body: (readonly number[])[]): number[] {
  const inside = body.flat();
  return [...big(1, 4), ...letters(type), ...big(16 + inside.length, 8), ...inside];
}

/** The first box. */
export function fileType(...brands: readonly string[]): number[] {
  const [major = "avif", ...others] = brands;
  return box("ftyp", letters(major), big(0, 4), ...others.map(letters));
}

/** The box of a still picture of that size. */
export function stillBox(size: Size): number[] {
  return box("meta", big(0, 4), box("iprp", box("ipco", extents(size))));
}

/** "ispe": the size of an item. */
export function extents({ width, height }: Size): number[] {
  return box("ispe", big(0, 4), big(width, 4), big(height, 4));
}

/** The box of a sequence: a track's size is told in its header and beside its frames' format. */
export function sequenceBox(header: Size, frames: Size, version: 0 | 1 = 0): number[] {
  return box("moov", box("trak", trackHeader(header, version), media(frames)));
}

/** An AVIF sequence as encoders write it: a still picture for readers that know no tracks, and the track. */
export function avifSequence(still: Size, track: Size): Uint8Array<ArrayBuffer> {
  const brands = fileType("avis", "avif", "mif1");
  return Uint8Array.from([...brands, ...stillBox(still), ...sequenceBox(track, track)]);
}

function trackHeader({ width, height }: Size, version: 0 | 1): number[] {
  const times = Array<number>(version === 0 ? 20 : 32).fill(0);
  const rest = Array<number>(8 + 8 + 36).fill(0);
  return box("tkhd", [version, 0, 0, 7], times, rest, fixedPoint(width), fixedPoint(height));
}

function media({ width, height }: Size): number[] {
  const sample = box("av01", Array<number>(24).fill(0), big(width, 2), big(height, 2));
  const samples = box("stsd", big(0, 4), big(1, 4), sample);
  return box("mdia", box("minf", box("stbl", samples)));
}

function fixedPoint(value: number): number[] {
  return [...big(value, 2), 0, 0];
}

function big(value: number, bytes: number): number[] {
  return Array.from(
    { length: bytes },
    (_, index) => Math.floor(value / 256 ** (bytes - 1 - index)) & 0xff,
  );
}

function letters(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}
