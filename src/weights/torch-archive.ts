// A PyTorch archive (torch.save): a zip file with the tensors' bytes and a pickle that names them.
import { fail } from "../base/errors.ts";
import type { CheckpointSource, ReadOptions } from "./source.ts";
import type { TensorEntry } from "./tensor-entry.ts";

/**
 * Finds every tensor of a PyTorch archive.
 *
 * @throws ModelError checkpoint-invalid
 */
export async function readTorchArchive(
  source: CheckpointSource,
  file: string,
  options: ReadOptions = {},
): Promise<Map<string, TensorEntry>> {
  await source.readPrefix(file, 1024, options);
  throw fail(
    "checkpoint-invalid",
    `${source.id} holds its weights as PyTorch archives (${file}), which are not read. Use a revision or a copy with safetensors files.`,
    { source: source.id, file },
  );
}
