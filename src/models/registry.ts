// Every model family, one line each. A family's code is fetched when a checkpoint asks for it.
import { fail, ModelError } from "../base/errors.ts";
import { importPart } from "../base/import-part.ts";
import { ConfigReader } from "./config-reader.ts";
import type { Family } from "./family.ts";

/** Families by id. */
const FAMILIES: Readonly<Record<string, () => Promise<Family>>> = {
  chameleon: async () => (await import("./chameleon/index.ts")).chameleon,
  janus: async () => (await import("./janus/index.ts")).janus,
  "janus-flow": async () => (await import("./janus-flow/index.ts")).janusFlow,
  "nexus-gen": async () => (await import("./nexus-gen/index.ts")).nexusGen,
  omnigen: async () => (await import("./omnigen/index.ts")).omniGen,
  pisces: async () => (await import("./pisces/index.ts")).pisces,
  transfusion: async () => (await import("./transfusion/index.ts")).transfusion,
};

/** Ids of all families, in registry order. */
export function familyIds(): string[] {
  return Object.keys(FAMILIES);
}

/** The family of this id. @throws ModelError unsupported-model; download-failed when its code cannot be loaded */
export async function familyById(id: string): Promise<Family> {
  const load = Object.hasOwn(FAMILIES, id) ? FAMILIES[id] : undefined;
  if (load === undefined) {
    throw fail("unsupported-model", `No family "${id}"; this build has ${familyIds().join(", ")}.`);
  }
  return importPart(`family ${id}`, load);
}

/**
 * The family whose checkpoint this config.json describes.
 *
 * @throws ModelError unsupported-model naming the architecture that was found; download-failed when the code of a
 * family that it may be cannot be loaded
 */
export async function detectFamily(configJson: unknown): Promise<Family> {
  let unread: ModelError | undefined;
  for (const id of familyIds()) {
    const family = await familyById(id).catch((error: unknown) => {
      if (!ModelError.isModelError(error)) throw error;
      // Another family's code is of no use to this checkpoint: only if none matches, it may be this one.
      unread ??= error;
      return undefined;
    });
    if (family?.matches(configJson)) return family;
  }
  if (unread) throw unread;
  const config = new ConfigReader(configJson, "config.json");
  const type = config.text("model_type", "none");
  throw fail(
    "unsupported-model",
    `This checkpoint's model_type is "${type}", which no family runs; this build has ${familyIds().join(", ")}.`,
    { modelType: type },
  );
}
