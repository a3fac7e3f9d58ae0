// OmniGen on the wasm backend, checkpoint to pixels, beside the authors' code.
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { runFamilyContract } from "../../../contract/family.ts";
import { runOmniGenParity } from "../../../contract/omnigen-parity.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { omniGenFolder, readOmniGenGoldens } from "../../../support/omnigen-goldens.ts";
import { openModel } from "../../../support/open-model.ts";

for (const name of ["a", "b"] as const) {
  const goldens = readOmniGenGoldens(name);
  const { width, height } = goldens.json;
  const open = async (memoryBudgetBytes?: number) => {
    const files = folderFiles(new URL("checkpoint/", omniGenFolder(name)));
    return openModel({ kind: "files", files }, "f32", await createWasmRuntime(), memoryBudgetBytes);
  };
  runOmniGenParity({ checkpoint: name, goldens, open });
  if (name === "b") continue;
  const can = { generateText: false, generateImage: true, editImage: true, converse: false };
  runFamilyContract({ name: "omnigen on wasm", open, can, size: { width, height } });
}
