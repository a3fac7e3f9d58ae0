// An engine worker that dies of an exception, or whose thread never answers again (every second one): it is ended,
// and the drawing goes on in a new one.
import { disturbanceRig, suffer } from "../browser/disturb-drawings.mjs";

export const rig = disturbanceRig({
  name: "worker-deaths",
  what: "the engine worker dies or freezes while a picture is drawn",
  count: 20,
  happen: (opened, n) => suffer(opened, n % 2 === 0 ? "block" : "crash"),
});
