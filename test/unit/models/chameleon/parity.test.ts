// Chameleon on the wasm backend, checkpoint to pixels, beside the reference.
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { runChameleonParity } from "../../../contract/chameleon-parity.ts";
import { runFamilyContract } from "../../../contract/family.ts";
import { chameleonFolder, readChameleonGoldens } from "../../../support/chameleon-goldens.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { openModel } from "../../../support/open-model.ts";
import { tinyFamily } from "../../../support/tiny-families.ts";

for (const name of ["anole", "chameleon"] as const) {
  const open = async (memoryBudgetBytes?: number) => {
    const files = folderFiles(new URL("checkpoint/", chameleonFolder(name)));
    const runtime = await createWasmRuntime();
    return openModel({ kind: "files", files }, "f32", runtime, memoryBudgetBytes);
  };
  runChameleonParity({ checkpoint: name, goldens: readChameleonGoldens(name), open });
  if (name === "anole") continue;
  const can = { generateText: true, generateImage: false, editImage: false, converse: false };
  runFamilyContract({ name: `${name} on wasm`, open, can });
}

runFamilyContract(tinyFamily("chameleon"));

// The weights of "anole" in Meta's own files: other names, one norm for all heads, neighbours rotated.
runChameleonParity({
  checkpoint: "anole in Meta's files",
  goldens: readChameleonGoldens("anole"),
  open: async () => {
    const files = folderFiles(new URL("meta/", chameleonFolder("anole")));
    return openModel({ kind: "files", files }, "f32", await createWasmRuntime());
  },
});
