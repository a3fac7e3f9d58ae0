// The directory of a zip archive that was written without compression, read by ranges: from the end record
// over the central directory to where each entry's bytes are. Believes nothing that the sizes contradict.
import { fail } from "../base/errors.ts";
import type { ModelError } from "../base/errors.ts";
import type { StretchReader, ReadOptions } from "./source.ts";

/** An entry of the central directory. */
export interface ZipEntry {
  readonly name: string;
  /** Where its local header begins. */
  readonly header: number;
  readonly bytes: number;
  /** Bytes of its name, which the local header repeats. */
  readonly nameBytes: number;
  /** True when sizes follow the bytes again, in a record of their own. */
  readonly hasDescriptor: boolean;
  /** Where the next entry, or the directory, begins. */
  readonly limit: number;
}

/** The end of a file and what lies before it. */
export interface ZipDirectory {
  readonly entries: ReadonlyMap<string, ZipEntry>;
}

/** Reads stretches of one file; those that were read already cost nothing. */
export class ArchiveReader {
  readonly file: string;
  readonly size: number;
  readonly #source: StretchReader;
  readonly #options: ReadOptions;
  readonly #known: { readonly start: number; readonly bytes: Uint8Array<ArrayBuffer> }[] = [];

  constructor(source: StretchReader, file: string, size: number, options: ReadOptions) {
    this.#source = source;
    this.file = file;
    this.size = size;
    this.#options = options;
  }

  /** Remembers bytes that were read. */
  keep(start: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#known.push({ start, bytes });
  }

  /** The bytes `start` to `end`. @throws ModelError checkpoint-invalid when the file has no such bytes */
  async read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (!(start >= 0 && start <= end && end <= this.size)) {
      throw invalidArchive(this.file, `points at bytes ${start} to ${end} of ${this.size}`);
    }
    for (const known of this.#known) {
      const isInside = start >= known.start && end <= known.start + known.bytes.length;
      if (isInside) return known.bytes.subarray(start - known.start, end - known.start);
    }
    return this.#source.readRange(this.file, start, end, this.#options);
  }
}

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_RECORD = 0x06054b50;
const END_RECORD_64 = 0x06064b50;
const END_LOCATOR_64 = 0x07064b50;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;

/** Comments may have 65535 bytes; archives of weights have none. */
const TAIL_BYTES = 256 * 1024;
/** Entries of 200 bytes: the largest known archive has some 1000. */
const MAX_DIRECTORY_BYTES = 32_000_000;
const MAX_ENTRIES = 200_000;
/** torch aligns the bytes of each entry to this. */
const ALIGNMENT = 64;
/** Bytes of the record behind an entry: none; 32-bit sizes without and with a signature; 64-bit sizes. */
const DESCRIPTOR_BYTES = [12, 16, 24] as const;

/** Reads the central directory. @throws ModelError checkpoint-invalid */
export async function readZipDirectory(archive: ArchiveReader): Promise<ZipDirectory> {
  const { file, size } = archive;
  const tailStart = Math.max(0, size - TAIL_BYTES);
  const tail = await archive.read(tailStart, size);
  archive.keep(tailStart, tail);
  const { start, end, count } = await findDirectory(archive, tail);
  if (count > MAX_ENTRIES || end - start > MAX_DIRECTORY_BYTES) {
    throw invalidArchive(file, `claims ${count} entries in ${end - start} bytes`);
  }
  const directory = await archive.read(start, end);
  return { entries: parseDirectory(directory, { file, start, count }) };
}

/**
 * Where the bytes of an entry begin.
 *
 * Entries that torch writes lie end to end and begin at multiples of 64, which leaves one place: nothing
 * is read then. Any other entry is asked by its local header, whose extra field the directory does not tell.
 */
export async function locate(archive: ArchiveReader, entry: ZipEntry): Promise<number> {
  return guessPlace(entry) ?? readPlace(archive, entry);
}

/** The same, always by the local header. @throws ModelError checkpoint-invalid when it contradicts the directory */
export async function readPlace(archive: ArchiveReader, entry: ZipEntry): Promise<number> {
  const { header, name, nameBytes, bytes, limit } = entry;
  const view = viewOf(await archive.read(header, Math.min(header + LOCAL_BYTES, archive.size)));
  const isHeader = view.byteLength === LOCAL_BYTES && view.getUint32(0, true) === LOCAL_HEADER;
  if (!isHeader || view.getUint16(8, true) !== 0 || view.getUint16(26, true) !== nameBytes) {
    throw invalidArchive(archive.file, `has no entry "${name}" at byte ${header}`);
  }
  const start = header + LOCAL_BYTES + nameBytes + view.getUint16(28, true);
  if (start + bytes > limit) {
    throw invalidArchive(archive.file, `has an entry "${name}" that runs into the next one`);
  }
  return start;
}

/** Undefined when the directory alone does not tell. */
export function guessPlace(entry: ZipEntry): number | undefined {
  const { header, nameBytes, bytes, limit, hasDescriptor } = entry;
  const first = header + LOCAL_BYTES + nameBytes;
  for (const descriptor of hasDescriptor ? DESCRIPTOR_BYTES : [0]) {
    const start = limit - descriptor - bytes;
    if (start >= first && start - first <= 0xffff && start % ALIGNMENT === 0) return start;
  }
  return undefined;
}

/** A `checkpoint-invalid` error about a PyTorch archive. */
export function invalidArchive(file: string, what: string): ModelError {
  return fail(
    "checkpoint-invalid",
    `${file} ${what}. The file is damaged or not a PyTorch archive; fetch it again.`,
    { file },
  );
}

interface DirectoryPlace {
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

// The directory must end where the end records begin: a file that is two archives at once is refused.
async function findDirectory(
  archive: ArchiveReader,
  tail: Uint8Array<ArrayBuffer>,
): Promise<DirectoryPlace> {
  const at = archive.size - tail.length;
  const view = viewOf(tail);
  const offset = findEnd(view);
  if (offset === undefined) throw invalidArchive(archive.file, "has no end of a zip archive");
  const count = view.getUint16(offset + 10, true);
  const bytes = view.getUint32(offset + 12, true);
  const start = view.getUint32(offset + 16, true);
  const hasLocator =
    offset >= LOCATOR_BYTES && view.getUint32(offset - LOCATOR_BYTES, true) === END_LOCATOR_64;
  if (hasLocator) return findDirectory64(archive, at + offset - LOCATOR_BYTES);
  if (start + bytes !== at + offset) {
    throw invalidArchive(archive.file, `has a directory of ${bytes} bytes at ${start}`);
  }
  return { start, end: start + bytes, count };
}

function findEnd(view: DataView): number | undefined {
  const first = Math.max(0, view.byteLength - END_BYTES - 0xffff);
  for (let at = view.byteLength - END_BYTES; at >= first; at--) {
    const isEnd =
      view.getUint32(at, true) === END_RECORD &&
      at + END_BYTES + view.getUint16(at + 20, true) === view.byteLength;
    if (isEnd) return at;
  }
  return undefined;
}

async function findDirectory64(archive: ArchiveReader, locator: number): Promise<DirectoryPlace> {
  const at = wide(viewOf(await archive.read(locator, locator + LOCATOR_BYTES)), 8);
  const record = viewOf(await archive.read(at, Math.min(at + 56, locator)));
  const isRecord = record.byteLength === 56 && record.getUint32(0, true) === END_RECORD_64;
  if (!isRecord || at + 12 + wide(record, 4) !== locator) {
    throw invalidArchive(archive.file, `has no ZIP64 end record at byte ${at}`);
  }
  const [count, bytes, start] = [wide(record, 32), wide(record, 40), wide(record, 48)];
  if (start + bytes !== at) {
    throw invalidArchive(archive.file, `has a directory of ${bytes} bytes at ${start}`);
  }
  return { start, end: at, count };
}

function parseDirectory(
  bytes: Uint8Array<ArrayBuffer>,
  { file, start, count }: { readonly file: string; readonly start: number; readonly count: number },
): Map<string, ZipEntry> {
  const found: Omit<ZipEntry, "limit">[] = [];
  for (let at = 0; at < bytes.length;) {
    const { entry, next } = parseEntry(bytes, at, file);
    found.push(entry);
    at = next;
  }
  if (found.length !== count) {
    throw invalidArchive(file, `lists ${found.length} entries and claims ${count}`);
  }
  const entries = new Map<string, ZipEntry>();
  const inOrder = found.toSorted((a, b) => a.header - b.header);
  inOrder.forEach((entry, index) => {
    const limit = inOrder[index + 1]?.header ?? start;
    if (entry.header + LOCAL_BYTES + entry.nameBytes + entry.bytes > limit) {
      throw invalidArchive(file, `has an entry "${entry.name}" that overlaps the next one`);
    }
    if (entries.has(entry.name)) throw invalidArchive(file, `holds "${entry.name}" twice`);
    entries.set(entry.name, { ...entry, limit });
  });
  return entries;
}

function parseEntry(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  file: string,
): { readonly entry: Omit<ZipEntry, "limit">; readonly next: number } {
  const view = viewOf(bytes.subarray(at));
  const isHeader = view.byteLength >= CENTRAL_BYTES && view.getUint32(0, true) === CENTRAL_HEADER;
  if (!isHeader) throw invalidArchive(file, "has a damaged directory");
  const flags = view.getUint16(8, true);
  const [nameBytes, extraBytes] = [view.getUint16(28, true), view.getUint16(30, true)];
  const extraStart = CENTRAL_BYTES + nameBytes;
  const next = extraStart + extraBytes + view.getUint16(32, true);
  if (next > view.byteLength) throw invalidArchive(file, "has a directory that is cut");
  const name = new TextDecoder().decode(bytes.subarray(at + CENTRAL_BYTES, at + extraStart));
  const sizes = wideSizes(view, extraStart, extraStart + extraBytes);
  const isStored = view.getUint16(10, true) === 0 && sizes.packed === sizes.bytes;
  if (!isStored || (flags & 1) !== 0 || view.getUint16(34, true) !== 0) {
    throw invalidArchive(file, `holds "${name}" compressed, encrypted or in another volume`);
  }
  const { bytes: entryBytes, header } = sizes;
  const hasDescriptor = (flags & 8) !== 0;
  const entry = { name, header, bytes: entryBytes, nameBytes, hasDescriptor };
  return { entry, next: at + next };
}

// Numbers that do not fit into 32 bits are in the extra field with id 1, in this order.
function wideSizes(
  view: DataView,
  from: number,
  to: number,
): { readonly bytes: number; readonly packed: number; readonly header: number } {
  const sizes = {
    bytes: view.getUint32(24, true),
    packed: view.getUint32(20, true),
    header: view.getUint32(42, true),
  };
  for (let at = from; at + 4 <= to;) {
    const end = at + 4 + view.getUint16(at + 2, true);
    if (view.getUint16(at, true) === 1 && end <= to) {
      let next = at + 4;
      for (const key of ["bytes", "packed", "header"] as const) {
        if (sizes[key] !== 0xffffffff || next + 8 > end) continue;
        sizes[key] = wide(view, next);
        next += 8;
      }
    }
    at = end;
  }
  return sizes;
}

// Beyond 2^53 the number is not exact, but then it is beyond every file, too.
function wide(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
