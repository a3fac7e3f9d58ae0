// Damaged PyTorch archives: the zip's records, the pickle, or any byte of archives that torch wrote.
import { readTorchArchive } from "../../../src/weights/torch-archive.ts";
import { corpus, pick, sourceOf } from "../corpus.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig } from "../rig.ts";
import { runFuzz } from "../rig.ts";
import { claim, orRefused } from "../typed.ts";

const FILES = corpus(/^torch-archive\/.*\.(bin|pt|pth|ckpt)$/);

async function readOne(seed: number): Promise<void> {
  const bytes = damageBytes(pick(FILES, seed).bytes, draw(byteDamage, seed));
  const source = sourceOf({ f: bytes });
  const tensors = await orRefused(["checkpoint-invalid"], () => readTorchArchive(source, "f"));
  for (const [name, { start, end, fault }] of tensors ?? []) {
    if (fault !== undefined) continue;
    claim(Number.isSafeInteger(start) && start >= 0 && start <= end, `"${name}" is nowhere`);
    claim(end <= bytes.length, `"${name}" is outside of the file`);
  }
}

/** See the top of the file. */
export const rig: Rig = {
  name: "fuzz-torch",
  what: "mutated PyTorch archives",
  count: 10_000,
  slice: 500,
  allowed: "0 hangs > 1 s, 0 untyped errors, 0 polluted prototypes",
  run: (count, seed) => runFuzz({ count, seed }, readOne),
};
