// A device that is lost at a random moment of a drawing, of its prompt, its steps or its decoding: the drawing goes
// on in a new worker and ends in the very bytes of an undisturbed one, and nothing is told twice.
import { disturbDrawings, suffer } from "../browser/disturb-drawings.mjs";

/** @type {import("../rig.ts").Rig} */
export const rig = {
  name: "device-losses",
  what: "the GPU device is lost while a picture is drawn",
  count: 50,
  slice: 1,
  allowed: "all recovered, same bytes, 0 hangs",
  /** @param {number} count @param {number} seed */
  run: (count, seed) =>
    disturbDrawings({ count, seed, happen: (opened) => suffer(opened, "lose") }),
};
