// Pisces on the wasm backend, checkpoint to pixels, beside transformers and diffusers.
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { runFamilyContract } from "../../../contract/family.ts";
import { runPiscesParity } from "../../../contract/pisces-parity.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { openModel } from "../../../support/open-model.ts";
import { goldenFolder, readPiscesGoldens } from "../../../support/pisces-goldens.ts";
import { tinyFamily } from "../../../support/tiny-families.ts";

for (const name of ["a", "b"] as const) {
  const open = async () => {
    const files = folderFiles(new URL("checkpoint/", goldenFolder(name)));
    const runtime = await createWasmRuntime();
    return openModel({ kind: "files", files }, "f32", runtime);
  };
  runPiscesParity({ checkpoint: name, goldens: readPiscesGoldens(name), open });
}

runFamilyContract(tinyFamily("pisces"));
