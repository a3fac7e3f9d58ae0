// Random lives of a page over the real supervisor, engine and queue, with fake workers and a fake clock: runs that
// overlap and are aborted, devices that are lost, workers that die or fall silent, reloads that fail.
import { liveSchedule } from "../../support/supervised-schedule.ts";
import type { Rig } from "../rig.ts";
import { runSeeds } from "../rig.ts";

/** See the top of the file. */
export const rig: Rig = {
  name: "supervisor",
  what: "simulated schedules of runs, aborts, losses and deaths",
  count: 10_000,
  slice: 50,
  allowed: "0 pending, 0 told twice, 0 overlapping, 0 workers left",
  run: (count, seed) => runSeeds({ count, seed }, liveSchedule),
};
