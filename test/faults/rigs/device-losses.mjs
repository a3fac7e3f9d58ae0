// A device that is lost at a random moment of a drawing, of its prompt, its steps or its decoding: the drawing goes
// on in a new worker and ends in the very bytes of an undisturbed one, and nothing is told twice.
import { disturbanceRig, suffer } from "../browser/disturb-drawings.mjs";

export const rig = disturbanceRig({
  name: "device-losses",
  what: "the GPU device is lost while a picture is drawn",
  count: 50,
  happen: (opened) => suffer(opened, "lose"),
});
