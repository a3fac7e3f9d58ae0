// A reader of pickles that runs nothing: a stack machine over plain data. What a pickle would import or call
// is asked of a host, which knows a short list of names and refuses all others. The work is bounded by the
// pickle's own length; nesting costs no stack of ours.
import type { PickleDict, PickleHost, PickleValue } from "./pickle-values.ts";
import { PickleRefusal } from "./pickle-values.ts";

/** Steps of one pickle: a checkpoint of 1000 tensors takes 40 000. */
const MAX_STEPS = 8_000_000;
const MAX_TEXT_BYTES = 65_536;
/** Longer integers are no shapes. */
const MAX_INTEGER_BYTES = 8;

/**
 * The value of a pickle.
 *
 * @throws PickleRefusal saying what is wrong with it, or whatever the host throws
 */
export function readPickle(bytes: Uint8Array, host: PickleHost): PickleValue {
  const machine = new Machine(bytes, host);
  for (let step = 0; step < MAX_STEPS; step++) {
    const code = machine.byte();
    if (code === STOP) return machine.pop();
    const operation = OPERATIONS[code];
    if (!operation) throw new PickleRefusal(`uses the pickle operation ${code}`);
    operation(machine);
  }
  throw new PickleRefusal(`takes more than ${MAX_STEPS} steps to read`);
}

class Machine {
  readonly host: PickleHost;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #stack: PickleValue[] = [];
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #position = 0;

  constructor(bytes: Uint8Array, host: PickleHost) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.host = host;
  }

  byte(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  short(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  word(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  integer(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }

  double(): number {
    return this.#view.getFloat64(this.#advance(8), false);
  }

  /** A length that may be written in 64 bits. */
  length(): number {
    return Number(this.#view.getBigUint64(this.#advance(8), true));
  }

  /** An integer of `count` bytes in two's complement. */
  long(count: number): number {
    if (count > MAX_INTEGER_BYTES) throw new PickleRefusal(`holds an integer of ${count} bytes`);
    let value = 0n;
    for (let i = 0; i < count; i++) value |= BigInt(this.byte()) << BigInt(8 * i);
    return Number(BigInt.asIntN(8 * count, value));
  }

  text(count: number): string {
    if (count > MAX_TEXT_BYTES) throw new PickleRefusal(`holds a text of ${count} bytes`);
    const start = this.#advance(count);
    return new TextDecoder().decode(this.#bytes.subarray(start, start + count));
  }

  skip(count: number): void {
    this.#advance(count);
  }

  /** Up to the next line feed. */
  line(): string {
    const end = this.#bytes.indexOf(10, this.#position);
    if (end < 0) throw new PickleRefusal("holds a pickle that is cut");
    const text = this.text(end - this.#position);
    this.skip(1);
    return text;
  }

  push(value: PickleValue): void {
    this.#stack.push(value);
  }

  pop(): PickleValue {
    const floor = this.#marks.at(-1) ?? 0;
    const value = this.#stack.length > floor ? this.#stack.pop() : undefined;
    if (value === undefined) throw new PickleRefusal("holds a pickle that takes what is not there");
    return value;
  }

  top(): PickleValue {
    const value = this.pop();
    this.push(value);
    return value;
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  /** Everything since the last mark. */
  popMark(): PickleValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw new PickleRefusal("holds a pickle without the mark it needs");
    return this.#stack.splice(mark);
  }

  popMany(count: number): PickleValue[] {
    return Array.from({ length: count }, () => this.pop()).toReversed();
  }

  remember(index: number = this.#memo.size): void {
    this.#memo.set(index, this.top());
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw new PickleRefusal(`recalls ${index}, which it never stored`);
    this.push(value);
  }

  #advance(count: number): number {
    const start = this.#position;
    if (count > this.#bytes.length - start) throw new PickleRefusal("holds a pickle that is cut");
    this.#position += count;
    return start;
  }
}

type Operation = (machine: Machine) => void;

const STOP = 0x2e;

// https://github.com/python/cpython/blob/v3.12.0/Lib/pickletools.py#L1182
const OPERATIONS: Readonly<Record<number, Operation>> = {
  0x80: (m) => m.skip(1), // PROTO
  0x95: (m) => m.skip(8), // FRAME
  0x28: (m) => m.mark(), // MARK
  0x30: (m) => void m.pop(), // POP
  0x31: (m) => void m.popMark(), // POP_MARK
  0x4e: (m) => m.push(null), // NONE
  0x88: (m) => m.push(true), // NEWTRUE
  0x89: (m) => m.push(false), // NEWFALSE
  0x4a: (m) => m.push(m.integer()), // BININT
  0x4b: (m) => m.push(m.byte()), // BININT1
  0x4d: (m) => m.push(m.short()), // BININT2
  0x8a: (m) => m.push(m.long(m.byte())), // LONG1
  0x47: (m) => m.push(m.double()), // BINFLOAT
  0x58: (m) => m.push(m.text(m.word())), // BINUNICODE
  0x8c: (m) => m.push(m.text(m.byte())), // SHORT_BINUNICODE
  0x8d: (m) => m.push(m.text(m.length())), // BINUNICODE8
  0x54: (m) => m.push(m.text(m.word())), // BINSTRING
  0x55: (m) => m.push(m.text(m.byte())), // SHORT_BINSTRING
  0x42: (m) => skipBytes(m, m.word()), // BINBYTES
  0x43: (m) => skipBytes(m, m.byte()), // SHORT_BINBYTES
  0x8e: (m) => skipBytes(m, m.length()), // BINBYTES8
  0x7d: (m) => m.push(emptyDict()), // EMPTY_DICT
  0x5d: (m) => m.push({ kind: "list", items: [] }), // EMPTY_LIST
  0x29: (m) => m.push({ kind: "tuple", items: [] }), // EMPTY_TUPLE
  0x74: (m) => m.push({ kind: "tuple", items: m.popMark() }), // TUPLE
  0x85: (m) => m.push({ kind: "tuple", items: m.popMany(1) }), // TUPLE1
  0x86: (m) => m.push({ kind: "tuple", items: m.popMany(2) }), // TUPLE2
  0x87: (m) => m.push({ kind: "tuple", items: m.popMany(3) }), // TUPLE3
  0x61: (m) => append(m, m.popMany(1)), // APPEND
  0x65: (m) => append(m, m.popMark()), // APPENDS
  0x90: (m) => append(m, m.popMark()), // ADDITEMS
  0x73: (m) => setItems(m, m.popMany(2)), // SETITEM
  0x75: (m) => setItems(m, m.popMark()), // SETITEMS
  0x63: (m) => m.push(m.host.find(m.line(), m.line())), // GLOBAL
  0x93: (m) => stackGlobal(m), // STACK_GLOBAL
  0x52: (m) => call(m), // REDUCE
  0x81: (m) => call(m), // NEWOBJ
  0x62: (m) => void m.pop(), // BUILD: attributes are of no use here
  0x51: (m) => m.push(m.host.load(m.pop())), // BINPERSID
  0x68: (m) => m.recall(m.byte()), // BINGET
  0x6a: (m) => m.recall(m.word()), // LONG_BINGET
  0x71: (m) => m.remember(m.byte()), // BINPUT
  0x72: (m) => m.remember(m.word()), // LONG_BINPUT
  0x94: (m) => m.remember(), // MEMOIZE
};

function emptyDict(): PickleDict {
  return { kind: "dict", entries: new Map() };
}

function skipBytes(machine: Machine, count: number): void {
  machine.skip(count);
  machine.push({ kind: "unread" });
}

function append(machine: Machine, items: readonly PickleValue[]): void {
  const target = machine.top();
  if (isUnread(target)) return;
  if (!isKind(target, "list")) throw new PickleRefusal("appends to what is no list");
  for (const item of items) target.items.push(item);
}

function setItems(machine: Machine, items: readonly PickleValue[]): void {
  const target = machine.top();
  if (isUnread(target)) return;
  if (!isKind(target, "dict") || items.length % 2 !== 0) {
    throw new PickleRefusal("sets items of what is no dictionary");
  }
  for (let i = 0; i < items.length; i += 2) target.entries.set(items[i], items[i + 1] ?? null);
}

function stackGlobal(machine: Machine): void {
  const [module, name] = machine.popMany(2);
  if (typeof module !== "string" || typeof name !== "string") {
    throw new PickleRefusal("imports something without a name");
  }
  machine.push(machine.host.find(module, name));
}

function call(machine: Machine): void {
  const [target, parameters] = machine.popMany(2);
  if (!isKind(target, "global") || !isKind(parameters, "tuple")) {
    throw new PickleRefusal("calls what is no function");
  }
  machine.push(machine.host.call(target.name, parameters.items));
}

function isUnread(value: PickleValue): boolean {
  return isKind(value, "unread");
}

function isKind<K extends string>(
  value: PickleValue | undefined,
  kind: K,
): value is Extract<PickleValue, { readonly kind: K }> {
  return typeof value === "object" && value !== null && value.kind === kind;
}
