// Transfusion on the wasm backend, checkpoint to pixels, beside transfusion-pytorch.
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { runFamilyContract } from "../../../contract/family.ts";
import { runTransfusionParity } from "../../../contract/transfusion-parity.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { openModel } from "../../../support/open-model.ts";
import { readTransfusionGoldens, transfusionFolder } from "../../../support/transfusion-goldens.ts";
import { tinyFamily } from "../../../support/tiny-families.ts";

for (const name of ["a", "b"] as const) {
  const open = async () => {
    const files = folderFiles(new URL("checkpoint/", transfusionFolder(name)));
    const runtime = await createWasmRuntime();
    return openModel({ kind: "files", files }, "f32", runtime);
  };
  runTransfusionParity({ checkpoint: name, goldens: readTransfusionGoldens(name), open });
}

runFamilyContract(tinyFamily("transfusion"));
