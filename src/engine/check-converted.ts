// Whether a converted folder's manifest lists what its family reads, and nothing else. Whoever publishes a folder
// also signs its manifest, so the signature says nothing: without this a manifest of any size would be fetched.
import { fail } from "../base/errors.ts";
import type { StoredPart } from "../base/weight-declaration.ts";
import { storageOf, storedParts } from "../base/weight-declaration.ts";
import { sameShape } from "../base/shape.ts";
import type { Manifest } from "../weights/manifest.ts";
import type { KnownModel } from "./known-model.ts";

/** Differences that an error lists before it says "and n more". */
const LISTED = 8;
/** Differences that an error carries as data. */
const CARRIED = 64;

/**
 * Compares names, types and shapes of the manifest's tensors with those that the family declares. Equal lists have
 * equal bytes: a manifest whose shards hold more than its tensors is none (weights/manifest.ts).
 *
 * @throws ModelError checkpoint-invalid naming what differs
 */
export function checkConverted(
  { source, family, config }: KnownModel,
  { quantization, tensors }: Pick<Manifest, "quantization" | "tensors">,
): void {
  const weights = family.declareWeights(config, quantization);
  const parts = weights.flatMap((weight) => storedParts(weight, storageOf(weight, quantization)));
  const declared = new Map(parts.map((part) => [part.name, part]));
  const listed = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const faults = [
    ...[...declared.values()].flatMap((part) => faultOf(part, listed.get(part.name))),
    ...tensors
      .filter(({ name }) => !declared.has(name))
      .map(({ name }) => `${name} is no weight of ${family.id}`),
  ];
  if (faults.length === 0) return;
  const more = faults.length > LISTED ? `; and ${faults.length - LISTED} more` : "";
  throw fail(
    "checkpoint-invalid",
    `The ${quantization} weights of ${source} are not those that its config.json describes: ` +
      `${faults.slice(0, LISTED).join("; ")}${more}. Nothing of them was fetched. Convert the model again.`,
    { source, quantization, faults: faults.slice(0, CARRIED), count: faults.length },
  );
}

function faultOf(expected: StoredPart, found: StoredPart | undefined): string[] {
  if (found === undefined) return [`${expected.name} is missing`];
  const isSame = found.dtype === expected.dtype && sameShape(found.shape, expected.shape);
  return isSame ? [] : [`${expected.name} is ${typeOf(found)}, expected ${typeOf(expected)}`];
}

function typeOf({ dtype, shape }: StoredPart): string {
  return `${dtype} [${shape.join(", ")}]`;
}
