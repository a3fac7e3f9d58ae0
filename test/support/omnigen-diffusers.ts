// A golden checkpoint of OmniGen as diffusers publishes it: a folder for each part, the fused projection in
// three tensors, every name another one. Names and config are diffusers' own (goldens.json).
import { readFileSync } from "node:fs";
import { omniGenFolder, readOmniGenGoldens } from "./omnigen-goldens.ts";
import { parseGoldens } from "./safetensors-file.ts";
import { safetensorsFile, type TinyTensor } from "./tiny-checkpoint.ts";

/** Files of golden checkpoint b, whose weights are f32. */
export function omniGenOfDiffusers(): File[] {
  const folder = new URL("checkpoint/", omniGenFolder("b"));
  const { config, names } = readOmniGenGoldens("b").json.diffusers;
  const bytes = (path: string): Uint8Array<ArrayBuffer> =>
    new Uint8Array(readFileSync(new URL(path, folder)));
  const json = (value: object): Uint8Array<ArrayBuffer> =>
    new Uint8Array(new TextEncoder().encode(JSON.stringify(value)));
  const transformer = { _class_name: "OmniGenTransformer2DModel", ...config };
  const files = {
    "model_index.json": json({ _class_name: "OmniGenPipeline" }),
    "transformer/config.json": json(transformer),
    "transformer/diffusion_pytorch_model.safetensors": safetensorsFile(twinTensors(bytes, names)),
    "tokenizer/tokenizer.json": bytes("tokenizer.json"),
    "tokenizer/tokenizer_config.json": bytes("tokenizer_config.json"),
    "vae/config.json": bytes("vae/config.json"),
    "vae/diffusion_pytorch_model.safetensors": bytes("vae/diffusion_pytorch_model.safetensors"),
  };
  return Object.entries(files).map(([path, content]) => {
    const file = new File([content], path.split("/").at(-1) ?? path);
    Object.defineProperty(file, "webkitRelativePath", { value: `twin/${path}` });
    return file;
  });
}

// By the converter's rules, each name checked against those that diffusers' model has.
function twinTensors(
  bytes: (path: string) => Uint8Array,
  names: readonly string[],
): Record<string, TinyTensor> {
  const tensors: Record<string, TinyTensor> = {};
  const add = (name: string, shape: readonly number[], values: ArrayLike<number>): void => {
    if (!names.includes(name)) throw new Error(`diffusers has no ${name}`);
    tensors[name] = { dtype: "F32", shape, values };
  };
  for (const [name, { shape, values }] of parseGoldens(bytes("model.safetensors"))) {
    const renamed = twinName(name);
    if (!renamed.includes("qkv_proj")) {
      add(renamed, shape, values);
      continue;
    }
    const [, width = 1] = shape;
    // three heads of 16 query, one key/value head for all
    const starts = [0, 48, 64, 80];
    for (const [part, letter] of ["q", "k", "v"].entries()) {
      const [start = 0, end = 0] = starts.slice(part, part + 2);
      const rows = values.subarray(start * width, end * width);
      add(renamed.replace("qkv_proj", `to_${letter}`), [end - start, width], rows);
    }
  }
  return tensors;
}

function twinName(name: string): string {
  return name
    .replace(/^llm\./, "")
    .replace(/^x_embedder\.proj/, "patch_embedding.output_image_proj")
    .replace(/^input_x_embedder\.proj/, "patch_embedding.input_image_proj")
    .replace(/mlp\.0\./, "linear_1.")
    .replace(/mlp\.2\./, "linear_2.")
    .replace(/^final_layer\.adaLN_modulation\.1/, "norm_out.linear")
    .replace(/^final_layer\.linear/, "proj_out")
    .replace(/o_proj/, "to_out.0");
}
