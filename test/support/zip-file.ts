// Writes uncompressed zip archives as torch.save lays them out, right or wrong.
import { concatenated } from "./tiny-checkpoint.ts";

/** An entry to write. Numbers that are given replace the true ones. */
export interface ZipPart {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  /** Size that the directory claims. */
  readonly claims?: number;
  /** Where the directory says that the entry is. */
  readonly header?: number;
}

/** How the end of the archive is written. */
export interface ZipOptions {
  /** Write every number in its 64-bit form. */
  readonly isWide?: boolean;
  readonly count?: number;
  readonly directoryStart?: number;
  readonly directoryBytes?: number;
  readonly comment?: Uint8Array;
  /** Bytes before the first entry. */
  readonly before?: number;
}

/** The archive's bytes: entries aligned to 64, directory, end records. */
export function zipFile(
  parts: readonly ZipPart[],
  options: ZipOptions = {},
): Uint8Array<ArrayBuffer> {
  const { isWide = false, comment = new Uint8Array(0), before = 0 } = options;
  const pieces: Uint8Array[] = [new Uint8Array(before)];
  const directory: Uint8Array[] = [];
  let position = before;
  const push = (bytes: Uint8Array): void => {
    pieces.push(bytes);
    position += bytes.length;
  };
  for (const part of parts) {
    const name = new TextEncoder().encode(part.name);
    const header = position;
    const padding = (64 - ((position + 30 + name.length + 4) % 64)) % 64;
    push(localHeader(part, name.length, padding + 4));
    push(name);
    push(record([2, 0x4246], [2, padding])); // "FB", as torch pads
    push(new Uint8Array(padding));
    push(part.bytes);
    push(descriptor(part.bytes.length, isWide));
    directory.push(centralHeader(part, name, part.header ?? header, isWide));
  }
  const start = options.directoryStart ?? position;
  const central = concatenated(directory);
  const bytes = options.directoryBytes ?? central.length;
  push(central);
  const count = options.count ?? parts.length;
  if (isWide) push(wideEnd(position, { count, bytes, start }));
  const none = isWide ? 0xffffffff : undefined;
  push(
    record(
      [4, 0x06054b50],
      [4, 0],
      [2, isWide ? 0xffff : count],
      [2, isWide ? 0xffff : count],
      [4, none ?? bytes],
      [4, none ?? start],
      [2, comment.length],
    ),
  );
  push(comment);
  return concatenated(pieces);
}

/** Little-endian numbers, each with its count of bytes. */
export function record(
  ...fields: readonly (readonly [bytes: number, value: number])[]
): Uint8Array {
  const bytes = fields.flatMap(([count, value]) =>
    Array.from({ length: count }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 255n)),
  );
  return Uint8Array.from(bytes);
}

function localHeader({ method = 0, flags = 0 }: ZipPart, name: number, extra: number): Uint8Array {
  const sizes = [4, 0] as const; // they follow the bytes
  return record(
    [4, 0x04034b50],
    [2, 0],
    [2, flags | 8],
    [2, method],
    [4, 0],
    [4, 0],
    sizes,
    sizes,
    [2, name],
    [2, extra],
  );
}

function descriptor(bytes: number, isWide: boolean): Uint8Array {
  const width = isWide ? 8 : 4;
  return record([4, 0x08074b50], [4, 0], [width, bytes], [width, bytes]);
}

function centralHeader(
  part: ZipPart,
  name: Uint8Array,
  header: number,
  isWide: boolean,
): Uint8Array {
  const { method = 0, flags = 0 } = part;
  const bytes = part.claims ?? part.bytes.length;
  const extra = isWide
    ? record([2, 1], [2, 24], [8, bytes], [8, bytes], [8, header])
    : new Uint8Array(0);
  const none = isWide ? 0xffffffff : undefined;
  return concatenated([
    record([4, 0x02014b50], [4, 0], [2, flags | 8], [2, method], [4, 0], [4, 0]),
    record([4, none ?? bytes], [4, none ?? bytes], [2, name.length], [2, extra.length]),
    record([2, 0], [2, 0], [2, 0], [4, 0], [4, none ?? header]),
    name,
    extra,
  ]);
}

function wideEnd(
  position: number,
  {
    count,
    bytes,
    start,
  }: { readonly count: number; readonly bytes: number; readonly start: number },
): Uint8Array {
  return concatenated([
    record(
      [4, 0x06064b50],
      [8, 44],
      [2, 0],
      [2, 0],
      [4, 0],
      [4, 0],
      [8, count],
      [8, count],
      [8, bytes],
      [8, start],
    ),
    record([4, 0x07064b50], [4, 0], [8, position], [4, 1]),
  ]);
}
