import { expect, test } from "vitest";
import { liveSchedule } from "../../support/supervised-schedule.ts";

// `npm run faults` lives 10,000 of them; a broken one is repeated by its seed.
test(
  "200 random schedules of runs, aborts and accidents break no promise",
  { timeout: 120_000 },
  async () => {
    const broken: string[] = [];
    for (let seed = 1; seed <= 200; seed++) {
      await liveSchedule(seed).catch((error: unknown) =>
        broken.push(`seed ${seed}: ${String(error)}`),
      );
    }
    expect(broken).toEqual([]);
  },
);
