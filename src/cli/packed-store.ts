// The rows of the weight store as files of a folder: what a browser keeps in IndexedDB, `convert` publishes.
// Shards are written under their hash, each one whole or not at all, the manifest last; a conversion that was
// stopped finds its journal and goes on.
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Quantization } from "../base/dtype.ts";
import type { KeyValue, RowReader } from "../weights/key-value.ts";
import { parseManifest } from "../weights/manifest.ts";
import { markPacked, packedFolder, packManifest } from "../weights/packed-model.ts";
import { WeightStore } from "../weights/weight-store.ts";

/** A weight store that publishes one model into a folder. */
export async function openPackedStore(
  out: string,
  quantization: Quantization,
): Promise<WeightStore> {
  const folder = join(out, packedFolder(quantization));
  await mkdir(folder, { recursive: true });
  return new WeightStore(folderRows(out, folder), "memory");
}

function folderRows(out: string, folder: string): KeyValue {
  const journal = join(folder, "journal.json");
  const reader: RowReader = {
    async get(key) {
      const [kind = "", name = ""] = key.split(":");
      if (kind === "index") return indexOf(join(folder, `${name}.bin`));
      if (kind === "shard") return new Blob([await readFile(join(folder, `${name}.bin`))]);
      return kind === "journal" ? readJournal(journal, key) : undefined;
    },
    keys: async () => [],
  };
  return {
    ...reader,
    // One process, one import: nobody writes in between.
    async change(decide) {
      const { put = [], remove = [] } = await decide(reader);
      for (const [key, value] of put) {
        const [kind, name = ""] = key.split(":");
        if (kind === "shard" && value instanceof Blob) {
          await writeWhole(join(folder, `${name}.bin`), new Uint8Array(await value.arrayBuffer()));
        }
        if (kind === "journal") await writeWhole(journal, JSON.stringify({ key, value }));
        if (kind === "manifest") await publish(out, folder, value);
      }
      if (remove.some((key) => key.startsWith("journal:"))) await rm(journal, { force: true });
    },
  };
}

async function indexOf(path: string): Promise<unknown> {
  return stat(path).then(
    ({ size }) => ({ bytes: size, createdAt: 0 }),
    () => undefined,
  );
}

async function readJournal(path: string, key: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch(() => "{}");
  const row: unknown = JSON.parse(text);
  const isOurs = typeof row === "object" && row !== null && "key" in row && row.key === key;
  return isOurs && "value" in row ? row.value : undefined;
}

// Side files first: a manifest names nothing that is not there.
async function publish(out: string, folder: string, value: unknown): Promise<void> {
  const manifest = parseManifest(value);
  if (!manifest) throw new Error("the manifest is none");
  const before = (path: string): string | undefined =>
    existsSync(join(out, path)) ? readFileSync(join(out, path), "utf8") : undefined;
  const files = markPacked(manifest.files, manifest.quantization, before);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(out, path)), { recursive: true });
    await writeWhole(join(out, path), text);
  }
  await writeWhole(join(folder, "manifest.json"), await packManifest(manifest));
}

async function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  const part = `${path}.part`;
  await writeFile(part, content, { flush: true });
  await rename(part, path);
}
