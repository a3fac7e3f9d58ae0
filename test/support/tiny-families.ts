// Every family's tiny checkpoint on the wasm backend, in Node.
import { present } from "../../src/base/assert.ts";
import type { Capabilities } from "../../src/base/requests.ts";
import { createWasmRuntime } from "../../src/session/wasm-runtime.ts";
import type { FamilySubject } from "../contract/family-calls.ts";
import {
  CHAMELEON,
  JANUS,
  JANUS_FLOW,
  NEXUS_GEN,
  OMNIGEN,
  PISCES,
  TRANSFUSION,
} from "../contract/poisons.ts";
import { folderFiles } from "./folder-files.ts";
import { openModel } from "./open-model.ts";
import { readOmniGenGoldens } from "./omnigen-goldens.ts";

const ALL = { generateText: true, generateImage: true, editImage: true, converse: true };
const DRAWS_AND_EDITS = { ...ALL, generateText: false, converse: false };

/** A family whose parts are all here. */
export type TinyFamily = FamilySubject & Required<Pick<FamilySubject, "poisons">>;

/** One checkpoint of each family. */
export const TINY_FAMILIES: readonly TinyFamily[] = [
  { name: "janus-flow", open: opener("janus-flow/a"), poisons: JANUS_FLOW },
  { name: "janus", open: opener("janus/b"), steps: 9, poisons: JANUS },
  {
    name: "omnigen",
    open: opener("omnigen/a"),
    can: DRAWS_AND_EDITS,
    size: omniGenSize(),
    poisons: OMNIGEN,
  },
  { name: "nexus-gen", open: opener("nexus-gen/v2"), ...all(171), poisons: NEXUS_GEN },
  { name: "chameleon", open: opener("chameleon/anole"), ...all(6), steps: 16, poisons: CHAMELEON },
  { name: "transfusion", open: opener("transfusion/a"), ...all(13), poisons: TRANSFUSION },
  { name: "pisces", open: opener("pisces/a"), poisons: PISCES },
];

/** The family of this name. */
export function tinyFamily(name: string): TinyFamily {
  return present(
    TINY_FAMILIES.find((family) => family.name === name),
    `tiny family ${name}`,
  );
}

function all(pictureSeed: number): { can: Capabilities; pictureSeed: number } {
  return { can: ALL, pictureSeed };
}

function opener(folder: string): FamilySubject["open"] {
  return async (memoryBudgetBytes, change = (runtime) => runtime) => {
    const files = folderFiles(new URL(`../golden/${folder}/checkpoint/`, import.meta.url));
    const runtime = change(await createWasmRuntime());
    return openModel({ kind: "files", files }, "f32", runtime, memoryBudgetBytes);
  };
}

function omniGenSize(): { width: number; height: number } {
  const { width, height } = readOmniGenGoldens("a").json;
  return { width, height };
}
