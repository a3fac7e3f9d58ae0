// A PyTorch archive (torch.save since 1.6): an uncompressed zip file with one entry per storage and a pickle
// that says which tensor is where. The pickle is read, never run; nothing but its own few KB, the directory
// and some local headers is fetched before the tensors themselves are.
import { fail } from "../base/errors.ts";
import { readPickle } from "./pickle.ts";
import type { PickleDict, PickleValue, TorchTensor } from "./pickle-values.ts";
import { PickleRefusal } from "./pickle-values.ts";
import type { StretchReader, ReadOptions } from "./source.ts";
import type { TensorEntry } from "./tensor-entry.ts";
import { TENSOR_BYTES } from "./tensor-entry.ts";
import { TORCH_HOST } from "./torch-pickle.ts";
import type { ZipEntry } from "./zip-archive.ts";
import {
  ArchiveReader,
  invalidArchive,
  locate,
  readPlace,
  readZipDirectory,
} from "./zip-archive.ts";

/** Brings the pickle of most archives: it is their first entry. */
const FIRST_READ_BYTES = 256 * 1024;
/** A pickle of 1000 tensors has 200 KB. */
const MAX_PICKLE_BYTES = 32_000_000;
/** The largest known checkpoint has some 100 000. */
const MAX_TENSORS = 1_000_000;
/** Local headers that are compared with what the directory led to expect. */
const SAMPLES = 3;
/** Local headers that are asked for at once, where each one has to be. */
const PARALLEL_HEADERS = 8;
/** Names under which training scripts put the weights. */
const WRAPPERS = ["state_dict", "model"] as const;

/**
 * Finds every tensor of a PyTorch archive.
 *
 * A tensor that is a view with strides of its own (transposed, expanded) gets a `fault`: it is refused when
 * somebody asks for it.
 *
 * @returns every tensor by name
 * @throws ModelError checkpoint-invalid
 */
export async function readTorchArchive(
  source: StretchReader,
  file: string,
  options: ReadOptions = {},
): Promise<Map<string, TensorEntry>> {
  const archive = await open(source, file, options);
  const { entries } = await readZipDirectory(archive);
  const root = findRoot(entries, file);
  await checkByteOrder(archive, entries.get(`${root}byteorder`));
  const pickle = await readEntry(archive, entries.get(`${root}data.pkl`));
  const tensors = namedTensors(parse(pickle, file), file);
  const places = await findStorages(archive, entries, root, tensors);
  return new Map([...tensors].map(([name, tensor]) => [name, entryOf(tensor, file, places)]));
}

async function open(
  source: StretchReader,
  file: string,
  options: ReadOptions,
): Promise<ArchiveReader> {
  const { bytes, size } = await source.readPrefix(file, FIRST_READ_BYTES, options);
  const isZip = bytes[0] === 0x50 && bytes[1] === 0x4b; // "PK"
  if (!isZip) {
    const isOld = bytes[0] === 0x80; // a pickle without an archive around it
    const what = isOld ? "was written by a torch older than 1.6: save it again" : "is no archive";
    throw invalidArchive(file, what);
  }
  if (size === undefined) {
    throw fail(
      "download-failed",
      `The server does not tell the size of ${file}, whose directory is at its end. Serve it with "Access-Control-Expose-Headers: Content-Range".`,
      { reason: "wrong-range", url: file, status: 206, file },
    );
  }
  const archive = new ArchiveReader(source, file, size, options);
  archive.keep(0, bytes);
  return archive;
}

// The folder inside the archive is called as the file was when it was saved, or "archive".
function findRoot(entries: ReadonlyMap<string, ZipEntry>, file: string): string {
  const roots = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [root] = roots;
  if (root === undefined || roots.length > 1) {
    throw invalidArchive(file, `holds ${roots.length} pickles, expected one`);
  }
  return root.slice(0, -"data.pkl".length);
}

async function checkByteOrder(archive: ArchiveReader, entry: ZipEntry | undefined): Promise<void> {
  if (!entry) return; // Before torch 2.1 there was none.
  const text = entry.bytes <= 16 ? new TextDecoder().decode(await readEntry(archive, entry)) : "";
  if (text !== "little") throw invalidArchive(archive.file, `has the byte order "${text}"`);
}

async function readEntry(archive: ArchiveReader, entry: ZipEntry | undefined): Promise<Uint8Array> {
  const bytes = entry?.bytes ?? 0;
  if (!entry || bytes > MAX_PICKLE_BYTES) {
    throw invalidArchive(archive.file, `has a pickle of ${bytes} bytes`);
  }
  const start = await locate(archive, entry);
  return archive.read(start, start + bytes);
}

function parse(pickle: Uint8Array, file: string): PickleValue {
  try {
    return readPickle(pickle, TORCH_HOST);
  } catch (error) {
    if (error instanceof PickleRefusal) throw invalidArchive(file, error.message);
    throw error;
  }
}

function namedTensors(value: PickleValue, file: string): Map<string, TorchTensor> {
  const tensors = tensorsOf(value);
  for (const wrapper of WRAPPERS) {
    const inner = isDict(value) ? value.entries.get(wrapper) : undefined;
    const wrapped = inner === undefined ? undefined : tensorsOf(inner);
    if (wrapped && wrapped.size > 0) return checked(wrapped, file);
  }
  return checked(tensors, file);
}

function checked(tensors: Map<string, TorchTensor>, file: string): Map<string, TorchTensor> {
  if (tensors.size === 0) throw invalidArchive(file, "holds no tensors by name");
  if (tensors.size > MAX_TENSORS) throw invalidArchive(file, `names ${tensors.size} tensors`);
  if (tensors.has("__proto__")) throw invalidArchive(file, 'names a tensor "__proto__"');
  return tensors;
}

function tensorsOf(value: PickleValue): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  for (const [name, item] of isDict(value) ? value.entries : []) {
    const isTensor = typeof item === "object" && item !== null && item.kind === "tensor";
    if (isTensor && typeof name === "string") tensors.set(name, item);
  }
  return tensors;
}

function isDict(value: PickleValue): value is PickleDict {
  return typeof value === "object" && value !== null && value.kind === "dict";
}

// Where the bytes of every storage begin, by its key.
async function findStorages(
  archive: ArchiveReader,
  entries: ReadonlyMap<string, ZipEntry>,
  root: string,
  tensors: ReadonlyMap<string, TorchTensor>,
): Promise<Map<string, number>> {
  const used = new Map<string, ZipEntry>();
  for (const [name, { storage, dtype }] of tensors) {
    const entry = entries.get(`${root}data/${storage.key}`);
    const bytes = storage.elements * (storage.dtype === undefined ? 1 : TENSOR_BYTES[dtype]);
    if (entry?.bytes !== bytes) {
      const has = entry ? `${entry.bytes} bytes` : "nothing";
      throw invalidArchive(archive.file, `has ${has} for "${name}", whose storage has ${bytes}`);
    }
    used.set(storage.key, entry);
  }
  const places = new Map<string, number>();
  const find = (await areAsExpected(archive, [...used.values()])) ? locate : readPlace;
  const storages = [...used];
  for (let at = 0; at < storages.length; at += PARALLEL_HEADERS) {
    const group = storages.slice(at, at + PARALLEL_HEADERS);
    const found = await Promise.all(group.map(([, entry]) => find(archive, entry)));
    group.forEach(([key], index) => places.set(key, found[index] ?? 0));
  }
  return places;
}

// The directory tells where torch puts bytes; some local headers, the largest entry's first, must agree.
async function areAsExpected(
  archive: ArchiveReader,
  entries: readonly ZipEntry[],
): Promise<boolean> {
  const samples = entries.toSorted((a, b) => b.bytes - a.bytes).slice(0, SAMPLES);
  for (const entry of samples) {
    if ((await locate(archive, entry)) !== (await readPlace(archive, entry))) return false;
  }
  return true;
}

function entryOf(
  { storage, dtype, offset, shape, strides }: TorchTensor,
  file: string,
  places: ReadonlyMap<string, number>,
): TensorEntry {
  const elementBytes = TENSOR_BYTES[dtype];
  const start = (places.get(storage.key) ?? 0) + offset * elementBytes;
  const end = start + shape.reduce((product, size) => product * size, elementBytes);
  const entry = { file, dtype, shape, start, end };
  if (isContiguous(shape, strides)) return entry;
  const fault = `is a view with strides [${strides.join(", ")}]; save it with .contiguous()`;
  return { ...entry, fault };
}

// Strides of dimensions of size 1 mean nothing.
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    if (size === 0) return true;
    if (size !== 1 && strides[axis] !== expected) return false;
    expected *= size;
  }
  return true;
}
