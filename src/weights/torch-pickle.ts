// The few names that a pickled state dict imports, and what they stand for: storages and tensors as plain
// data. Anything else is refused by name, as `torch.load(weights_only=True)` does.
import type { PickleHost, PickleValue, TorchStorage, TorchTensor } from "./pickle-values.ts";
import { PickleRefusal } from "./pickle-values.ts";
import type { TensorDType } from "./tensor-entry.ts";
import { TENSOR_BYTES } from "./tensor-entry.ts";

const MAX_RANK = 16;

const STORAGES: Readonly<Record<string, TensorDType | undefined>> = {
  "torch DoubleStorage": "F64",
  "torch FloatStorage": "F32",
  "torch HalfStorage": "F16",
  "torch BFloat16Storage": "BF16",
  "torch LongStorage": "I64",
  "torch IntStorage": "I32",
  "torch ShortStorage": "I16",
  "torch CharStorage": "I8",
  "torch ByteStorage": "U8",
  "torch BoolStorage": "BOOL",
  "torch.storage UntypedStorage": undefined,
};

const DTYPES: Readonly<Record<string, TensorDType>> = {
  "torch float64": "F64",
  "torch float32": "F32",
  "torch float16": "F16",
  "torch bfloat16": "BF16",
  "torch int64": "I64",
  "torch int32": "I32",
  "torch int16": "I16",
  "torch int8": "I8",
  "torch uint64": "U64",
  "torch uint32": "U32",
  "torch uint16": "U16",
  "torch uint8": "U8",
  "torch bool": "BOOL",
  "torch float8_e4m3fn": "F8_E4M3",
  "torch float8_e5m2": "F8_E5M2",
  "torch float8_e8m0fnu": "F8_E8M0",
};

type Call = (parameters: readonly PickleValue[]) => PickleValue;

const CALLS: Readonly<Record<string, Call>> = {
  "collections OrderedDict": () => ({ kind: "dict", entries: new Map() }),
  "torch._utils _rebuild_tensor": rebuildTensor,
  "torch._utils _rebuild_tensor_v2": rebuildTensor,
  "torch._utils _rebuild_tensor_v3": rebuildTensor,
  "torch._utils _rebuild_parameter": first,
  "torch._utils _rebuild_parameter_with_state": first,
  "torch._tensor _rebuild_from_type_v2": rebuildFromType,
  "torch Size": ([sizes]) => sizes ?? null,
};

// What training leaves in a checkpoint beside its weights. They stand for nothing, whatever is done with them.
const UNREAD: ReadonlySet<string> = new Set([
  "collections defaultdict",
  "collections Counter",
  "torch device",
  "torch Tensor",
  "torch.nn.parameter Parameter",
  "_codecs encode",
  "__builtin__ set",
  "builtins set",
  "builtins dict",
  "builtins list",
  "builtins int",
  "builtins float",
  "argparse Namespace",
  "numpy dtype",
  "numpy ndarray",
  "numpy.core.multiarray scalar",
  "numpy.core.multiarray _reconstruct",
  "numpy._core.multiarray scalar",
  "numpy._core.multiarray _reconstruct",
  "pathlib PosixPath",
  "pytorch_lightning.callbacks.model_checkpoint ModelCheckpoint",
]);

/** The host for archives that torch.save wrote. */
export const TORCH_HOST: PickleHost = {
  find(module, name) {
    const full = `${module} ${name}`;
    const isKnown = [STORAGES, DTYPES, CALLS].some((table) => Object.hasOwn(table, full));
    if (isKnown || UNREAD.has(full)) return { kind: "global", name: full };
    throw new PickleRefusal(
      `imports ${JSON.stringify(`${module}.${name}`.slice(0, 80))}, which no weights need`,
    );
  },
  call(name, parameters) {
    if (UNREAD.has(name)) return { kind: "unread" };
    const run = Object.hasOwn(CALLS, name) ? CALLS[name] : undefined;
    if (run) return run(parameters);
    throw new PickleRefusal(`calls ${name}`);
  },
  load: loadStorage,
};

// ("storage", type, key, device, elements)
function loadStorage(id: PickleValue): TorchStorage {
  const [tag, type, key, , elements] = itemsOf(id) ?? [];
  const name = isObject(type) && type.kind === "global" ? type.name : "";
  if (tag !== "storage" || !Object.hasOwn(STORAGES, name) || typeof key !== "string") {
    throw new PickleRefusal("refers to an object that is no storage");
  }
  if (!isCount(elements)) throw new PickleRefusal(`has a storage "${key}" without a size`);
  return { kind: "storage", key, dtype: STORAGES[name], elements };
}

// (storage, offset, shape, strides, requires grad, hooks, [dtype])
function rebuildTensor(parameters: readonly PickleValue[]): TorchTensor {
  const [storage, offset, sizes, steps, , , type] = parameters;
  const shape = itemsOf(sizes);
  const strides = itemsOf(steps);
  if (!isObject(storage) || storage.kind !== "storage") {
    throw new PickleRefusal("builds a tensor without a storage");
  }
  const isFine = isCounts(shape) && isCounts(strides) && shape.length === strides.length;
  if (!isCount(offset) || !isFine || shape.length > MAX_RANK) {
    throw new PickleRefusal(`builds a tensor of an impossible shape on storage "${storage.key}"`);
  }
  const named = isObject(type) && type.kind === "global" ? type.name : "";
  const dtype = storage.dtype ?? (Object.hasOwn(DTYPES, named) ? DTYPES[named] : undefined);
  if (!dtype) throw new PickleRefusal(`builds a tensor of no type on storage "${storage.key}"`);
  checkRoom({ kind: "tensor", storage, dtype, offset, shape, strides });
  return { kind: "tensor", storage, dtype, offset, shape, strides };
}

// The last element must be inside the storage.
function checkRoom({ storage, dtype, offset, shape, strides }: TorchTensor): void {
  const elementBytes = storage.dtype === undefined ? TENSOR_BYTES[dtype] : 1;
  const isEmpty = shape.includes(0);
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] ?? 0), offset);
  const needed = (isEmpty ? offset : last + 1) * elementBytes;
  if (!Number.isSafeInteger(needed) || needed > storage.elements) {
    throw new PickleRefusal(
      `builds a tensor [${shape.join(", ")}] beyond the end of storage "${storage.key}"`,
    );
  }
}

// A tensor or parameter with attributes of its own: (function, type, parameters, state)
function rebuildFromType([target, , parameters]: readonly PickleValue[]): PickleValue {
  const name = isObject(target) && target.kind === "global" ? target.name : "";
  if (name === "torch._tensor _rebuild_from_type_v2") {
    throw new PickleRefusal("wraps a tensor twice");
  }
  return TORCH_HOST.call(name, itemsOf(parameters) ?? []);
}

function first([value]: readonly PickleValue[]): PickleValue {
  return value ?? null;
}

function itemsOf(value: PickleValue | undefined): readonly PickleValue[] | undefined {
  const isSequence = isObject(value) && (value.kind === "tuple" || value.kind === "list");
  return isSequence ? value.items : undefined;
}

function isObject(value: PickleValue | undefined): value is Extract<PickleValue, object> {
  return typeof value === "object" && value !== null;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isCounts(value: readonly unknown[] | undefined): value is readonly number[] {
  return value?.every(isCount) ?? false;
}
