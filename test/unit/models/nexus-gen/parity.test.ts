// Nexus-Gen on the wasm backend, checkpoint to pixels, beside the authors' code.
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { runFamilyContract } from "../../../contract/family.ts";
import { runNexusGenParity } from "../../../contract/nexus-gen-parity.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { nexusGenFolder, readNexusGenGoldens } from "../../../support/nexus-gen-goldens.ts";
import { openNexusGen } from "../../../support/open-nexus-gen.ts";
import { tinyFamily } from "../../../support/tiny-families.ts";

for (const name of ["v2", "v1"] as const) {
  const location = () => {
    const files = folderFiles(new URL("checkpoint/", nexusGenFolder(name)));
    return { kind: "files", files } as const;
  };
  runNexusGenParity({
    checkpoint: name,
    goldens: readNexusGenGoldens(name),
    open: async () => openNexusGen(location(), "f32", await createWasmRuntime()),
  });
}

runFamilyContract(tinyFamily("nexus-gen"));
