// JanusFlow on the wasm backend, checkpoint to pixels, beside the authors' code.
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { runFamilyContract } from "../../../contract/family.ts";
import { runJanusFlowParity } from "../../../contract/janus-flow-parity.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { goldenFolder, readJanusFlowGoldens } from "../../../support/janus-flow-goldens.ts";
import { openModel } from "../../../support/open-model.ts";
import { tinyFamily } from "../../../support/tiny-families.ts";

for (const name of ["a", "b"] as const) {
  const open = async () => {
    const files = folderFiles(new URL("checkpoint/", goldenFolder(name)));
    const runtime = await createWasmRuntime();
    return openModel({ kind: "files", files }, "f32", runtime);
  };
  runJanusFlowParity({ checkpoint: name, goldens: readJanusFlowGoldens(name), open });
}

runFamilyContract(tinyFamily("janus-flow"));
