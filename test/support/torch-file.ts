// Writes PyTorch archives, right or wrong, with pickles put together by hand.
import { concatenated } from "./tiny-checkpoint.ts";
import type { ZipOptions, ZipPart } from "./zip-file.ts";
import { record, zipFile } from "./zip-file.ts";

const ASCII = new TextEncoder();

/** Pieces of a pickle of protocol 2. */
export const pickle = {
  text: (value: string): Uint8Array => {
    const bytes = ASCII.encode(value);
    return concatenated([record([1, 0x58], [4, bytes.length]), bytes]);
  },
  integer: (value: number): Uint8Array =>
    Number.isInteger(value) && value >= 0 && value < 2 ** 31
      ? record([1, 0x4a], [4, value])
      : concatenated([
          Uint8Array.of(0x8a, 8),
          new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
        ]),
  global: (module: string, name: string): Uint8Array => ASCII.encode(`c${module}\n${name}\n`),
  tuple: (...items: Uint8Array[]): Uint8Array =>
    concatenated([Uint8Array.of(0x28), ...items, Uint8Array.of(0x74)]),
  dict: (...items: (readonly [Uint8Array, Uint8Array])[]): Uint8Array =>
    concatenated([Uint8Array.of(0x7d, 0x28), ...items.flat(), Uint8Array.of(0x75)]),
  call: (target: Uint8Array, ...parameters: Uint8Array[]): Uint8Array =>
    concatenated([target, pickle.tuple(...parameters), Uint8Array.of(0x52)]),
  whole: (value: Uint8Array): Uint8Array =>
    concatenated([Uint8Array.of(0x80, 2), value, Uint8Array.of(0x2e)]),
};

/** A tensor to name in a pickle. */
export interface PickledTensor {
  readonly storage?: string;
  readonly key?: string;
  readonly elements?: number;
  readonly offset?: number;
  readonly shape?: readonly number[];
  readonly strides?: readonly number[];
}

/** A pickled tensor: by default float32 [2, 3] on storage "0". */
export function pickledTensor({
  storage = "FloatStorage",
  key = "0",
  elements = 6,
  offset = 0,
  shape = [2, 3],
  strides = [3, 1],
}: PickledTensor = {}): Uint8Array {
  const id = pickle.tuple(
    pickle.text("storage"),
    pickle.global("torch", storage),
    pickle.text(key),
    pickle.text("cpu"),
    pickle.integer(elements),
  );
  return pickle.call(
    pickle.global("torch._utils", "_rebuild_tensor_v2"),
    concatenated([id, Uint8Array.of(0x51)]),
    pickle.integer(offset),
    pickle.tuple(...shape.map(pickle.integer)),
    pickle.tuple(...strides.map(pickle.integer)),
    Uint8Array.of(0x89),
    pickle.call(pickle.global("collections", "OrderedDict")),
  );
}

/** An archive with this pickle and six floats as storage "0". */
export function torchFile(
  value: Uint8Array,
  { parts, ...options }: ZipOptions & { readonly parts?: readonly ZipPart[] } = {},
): Uint8Array<ArrayBuffer> {
  const storage = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
  return zipFile(
    [
      { name: "archive/data.pkl", bytes: value },
      ...(parts ?? [{ name: "archive/data/0", bytes: storage }]),
      { name: "archive/version", bytes: ASCII.encode("3\n") },
    ],
    options,
  );
}

/** A dictionary of one tensor called "w". */
export function oneTensor(tensor?: PickledTensor): Uint8Array {
  return pickle.whole(pickle.dict([pickle.text("w"), pickledTensor(tensor)]));
}
