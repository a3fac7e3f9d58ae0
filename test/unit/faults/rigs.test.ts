// A slice of every fault rig that needs nothing but Node; `npm run faults` runs them at their full counts.
import { describe, expect, test } from "vitest";
import type { Rig } from "../../faults/rig.ts";

const modules = import.meta.glob<{ rig: Rig }>("../../faults/rigs/*.ts", { eager: true });
const rigs = Object.values(modules).map(({ rig }) => rig);

describe("fault rigs", () => {
  test("are found", () => {
    expect(rigs.map(({ name }) => name)).toEqual(expect.arrayContaining(["http", "schedules"]));
  });

  test.each(rigs)("$name: $what, $slice runs", async (rig) => {
    const { runs, failures } = await rig.run(rig.slice, 1);
    expect(failures).toEqual([]);
    expect(runs).toBeGreaterThan(0);
  });
});
