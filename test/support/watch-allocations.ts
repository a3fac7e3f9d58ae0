// What typed arrays some work makes: memory that is only asked for, not written, shows in no other way.

const KINDS = ["Uint8Array", "Uint8ClampedArray", "Int32Array", "Float32Array"] as const;

type Maker = new (...parameters: unknown[]) => { readonly byteLength: number };

/** Largest typed array, in bytes, that is made while `work` runs; those that could not be made count too. */
export function watchAllocations(work: () => void): number {
  const kinds = globalThis as unknown as Record<(typeof KINDS)[number], Maker>;
  const plain = KINDS.map((name) => [name, kinds[name]] as const);
  let largest = 0;
  for (const [name, Plain] of plain) {
    const { BYTES_PER_ELEMENT: size } = Plain as unknown as Uint8ArrayConstructor;
    kinds[name] = new Proxy(Plain, {
      construct(target, parameters, made) {
        const [length] = parameters as [unknown];
        if (typeof length === "number") largest = Math.max(largest, length * size);
        return Reflect.construct(target, parameters, made as never) as object;
      },
    });
  }
  try {
    work();
  } finally {
    for (const [name, Plain] of plain) kinds[name] = Plain;
  }
  return largest;
}
