// Janus on the wasm backend, checkpoint to pixels, beside the authors' code.
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { runFamilyContract } from "../../../contract/family.ts";
import { runJanusParity } from "../../../contract/janus-parity.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { janusCheckpoint, readJanusGoldens } from "../../../support/janus-goldens.ts";
import { openModel } from "../../../support/open-model.ts";
import { tinyFamily } from "../../../support/tiny-families.ts";

for (const name of ["a", "b", "a-transformers"] as const) {
  const open = async () => {
    const files = folderFiles(janusCheckpoint(name));
    const runtime = await createWasmRuntime();
    return openModel({ kind: "files", files }, "f32", runtime);
  };
  runJanusParity({ checkpoint: name, goldens: readJanusGoldens(name), open });
}

runFamilyContract(tinyFamily("janus"));
