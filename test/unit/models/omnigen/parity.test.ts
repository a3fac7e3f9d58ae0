// OmniGen on the wasm backend, checkpoint to pixels, beside the authors' code.
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { runFamilyContract } from "../../../contract/family.ts";
import { runOmniGenParity } from "../../../contract/omnigen-parity.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { omniGenFolder, readOmniGenGoldens } from "../../../support/omnigen-goldens.ts";
import { openModel } from "../../../support/open-model.ts";
import { tinyFamily } from "../../../support/tiny-families.ts";

for (const name of ["a", "b"] as const) {
  const goldens = readOmniGenGoldens(name);
  const open = async () => {
    const files = folderFiles(new URL("checkpoint/", omniGenFolder(name)));
    return openModel({ kind: "files", files }, "f32", await createWasmRuntime());
  };
  runOmniGenParity({ checkpoint: name, goldens, open });
}

runFamilyContract(tinyFamily("omnigen"));
