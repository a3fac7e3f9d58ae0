// Damage to files, drawn by fast-check so that a seed repeats it and a failure can be made smaller.
import * as fc from "fast-check";

/** One change of a file's bytes. Places are fractions of the length: they fit files of any size. */
export type ByteChange =
  | { readonly kind: "set"; readonly at: number; readonly value: number }
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "insert"; readonly at: number; readonly bytes: readonly number[] }
  | { readonly kind: "remove"; readonly at: number; readonly count: number }
  | { readonly kind: "copy"; readonly at: number; readonly from: number; readonly count: number }
  | { readonly kind: "cut"; readonly at: number }
  | {
      readonly kind: "number";
      readonly at: number;
      readonly value: bigint;
      readonly wide: boolean;
    };

/** Numbers at which parsers go wrong. */
const EDGES = [0n, 1n, 2n, 7n, 0x7fn, 0xffn, 0x7fffn, 0xffffn, 0x7fffffffn, 0xffffffffn];
const WIDE_EDGES = [2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];

// Headers and directories are at the ends: a third of all damage goes to the first bytes, a third to the last.
const place = fc.oneof(
  fc.double({ min: 0, max: 0.02, noNaN: true }),
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.double({ min: 0.95, max: 1, noNaN: true }),
);

const change: fc.Arbitrary<ByteChange> = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), at: place, value: fc.nat(255) }),
  fc.record({ kind: fc.constant("flip" as const), at: place, bit: fc.nat(7) }),
  fc.record({
    kind: fc.constant("insert" as const),
    at: place,
    bytes: fc.array(fc.nat(255), { minLength: 1, maxLength: 16 }),
  }),
  fc.record({ kind: fc.constant("remove" as const), at: place, count: fc.nat(64) }),
  fc.record({ kind: fc.constant("copy" as const), at: place, from: place, count: fc.nat(256) }),
  fc.record({ kind: fc.constant("cut" as const), at: place }),
  fc.record({
    kind: fc.constant("number" as const),
    at: place,
    value: fc.constantFrom(...EDGES, ...WIDE_EDGES),
    wide: fc.boolean(),
  }),
);

/** One to six changes. */
export const byteDamage: fc.Arbitrary<readonly ByteChange[]> = fc.array(change, {
  minLength: 1,
  maxLength: 6,
});

/** A copy with the changes made in order. */
export function damageBytes(
  bytes: Uint8Array,
  changes: readonly ByteChange[],
): Uint8Array<ArrayBuffer> {
  return changes.reduce<Uint8Array<ArrayBuffer>>(apply, new Uint8Array(bytes));
}

/** What a seed draws. */
export function draw<T>(arbitrary: fc.Arbitrary<T>, seed: number): T {
  const [value] = fc.sample(arbitrary, { seed, numRuns: 1 });
  if (value === undefined) throw new Error("nothing was drawn");
  return value;
}

function apply(bytes: Uint8Array<ArrayBuffer>, one: ByteChange): Uint8Array<ArrayBuffer> {
  const at = Math.min(bytes.length, Math.floor(one.at * bytes.length));
  switch (one.kind) {
    case "set":
      if (at < bytes.length) bytes[at] = one.value;
      return bytes;
    case "flip":
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << one.bit);
      return bytes;
    case "insert":
      return spliced(bytes, at, 0, Uint8Array.from(one.bytes));
    case "remove":
      return spliced(bytes, at, one.count, new Uint8Array(0));
    case "copy": {
      const from = Math.floor(one.from * bytes.length);
      return spliced(bytes, at, 0, bytes.slice(from, from + one.count));
    }
    case "cut":
      return bytes.slice(0, at);
    case "number":
      return withNumber(bytes, at, one);
    default:
      return one satisfies never;
  }
}

function withNumber(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  { value, wide }: { readonly value: bigint; readonly wide: boolean },
): Uint8Array<ArrayBuffer> {
  const room = wide ? 8 : 4;
  if (bytes.length < room) return bytes;
  const view = new DataView(bytes.buffer);
  const start = Math.min(at, bytes.length - room);
  if (wide) view.setBigUint64(start, value, true);
  else view.setUint32(start, Number(BigInt.asUintN(32, value)), true);
  return bytes;
}

function spliced(
  bytes: Uint8Array,
  at: number,
  removed: number,
  added: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const end = Math.min(bytes.length, at + removed);
  const result = new Uint8Array(at + added.length + bytes.length - end);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(bytes.subarray(end), at + added.length);
  return result;
}
