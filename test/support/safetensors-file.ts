// Reads a small safetensors file that the repo itself made (goldens): no checks, f32 / i32 / u8 only.

/** Tensors of a golden file by name. */
export type GoldenTensors = ReadonlyMap<string, GoldenTensor>;

/** One golden tensor. */
export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
}

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

/** Parses the bytes of a golden file. */
export function parseGoldens(bytes: Uint8Array): GoldenTensors {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const headerBytes = Number(view.getBigUint64(0, true));
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes));
  const header = JSON.parse(text) as Record<string, Entry>;
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return new Map(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [start, end],
        },
      ]) => {
        // A copy: the typed arrays below want an aligned beginning (and Node's Buffer.slice makes none).
        const data = new Uint8Array(bytes.subarray(8 + headerBytes + start, 8 + headerBytes + end));
        return [name, { shape, values: typed(dtype, data) }];
      },
    ),
  );
}

function typed(dtype: string, data: Uint8Array<ArrayBuffer>): GoldenTensor["values"] {
  if (dtype === "F32") return new Float32Array(data.buffer);
  if (dtype === "I32") return new Int32Array(data.buffer);
  if (dtype === "U8") return data;
  throw new Error(`goldens hold no ${dtype}`);
}
