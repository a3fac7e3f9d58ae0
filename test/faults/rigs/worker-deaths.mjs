// An engine worker that dies of an exception, or whose thread never answers again (every second one): it is ended,
// and the drawing goes on in a new one.
import { disturbDrawings, suffer } from "../browser/disturb-drawings.mjs";

/** @type {import("../rig.ts").Rig} */
export const rig = {
  name: "worker-deaths",
  what: "the engine worker dies or freezes while a picture is drawn",
  count: 20,
  slice: 1,
  allowed: "all recovered, same bytes, 0 hangs",
  /** @param {number} count @param {number} seed */
  run: (count, seed) =>
    disturbDrawings({
      count,
      seed,
      happen: (opened, n) => suffer(opened, n % 2 === 0 ? "block" : "crash"),
    }),
};
