// What a pickle may hold, as plain data, and who is asked about names and outside objects.
import type { TensorDType } from "./tensor-entry.ts";

/** A value of a pickle. */
export type PickleValue =
  | null
  | boolean
  | number
  | string
  | PickleTuple
  | PickleList
  | PickleDict
  | PickleGlobal
  | TorchStorage
  | TorchTensor
  | PickleUnread;

/** A fixed sequence. */
export interface PickleTuple {
  readonly kind: "tuple";
  readonly items: readonly PickleValue[];
}

/** A sequence that grows. */
export interface PickleList {
  readonly kind: "list";
  readonly items: PickleValue[];
}

/** A dictionary in insertion order. Keys may be any value. */
export interface PickleDict {
  readonly kind: "dict";
  readonly entries: Map<unknown, PickleValue>;
}

/** A name that the pickle imports, `module name`. */
export interface PickleGlobal {
  readonly kind: "global";
  readonly name: string;
}

/** Bytes of the archive, by the key of their entry. */
export interface TorchStorage {
  readonly kind: "storage";
  readonly key: string;
  /** Undefined for storages of bytes, whose tensors tell. */
  readonly dtype: TensorDType | undefined;
  readonly elements: number;
}

/** A tensor over a storage; offset and strides count elements. */
export interface TorchTensor {
  readonly kind: "tensor";
  readonly storage: TorchStorage;
  readonly dtype: TensorDType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** Something that nobody here needs. */
export interface PickleUnread {
  readonly kind: "unread";
}

/** Who decides about everything that a pickle only names. */
export interface PickleHost {
  /** @throws PickleRefusal for a name that is not on the list */
  find(module: string, name: string): PickleGlobal;
  /** Stands for calling the import `name`. */
  call(name: string, parameters: readonly PickleValue[]): PickleValue;
  /** An object outside of the pickle. */
  load(id: PickleValue): PickleValue;
}

/** Why a pickle is not read; the message continues "the file ...". */
export class PickleRefusal extends Error {}
