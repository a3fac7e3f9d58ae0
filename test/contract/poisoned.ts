// Numbers are never silently wrong: a weight of each stage is poisoned, and every task that it reaches says so.
// A task that it does not reach gives the very same as without it, so the table of a family is proven both ways.
import { beforeAll, describe, expect, test } from "vitest";
import { ModelError } from "../../src/base/errors.ts";
import type { RunEvent } from "../../src/base/events.ts";
import type { Stages } from "../../src/models/family.ts";
import { damageable } from "../support/damaged-runtime.ts";
import { finish, tasksOf, withoutTimes, type FamilySubject, type Task } from "./family-calls.ts";

/** The law, once for each poison of the family's table. @param whole - the family without any */
export function poisonLaws(subject: FamilySubject, whole: () => Stages): void {
  const { poisons = [] } = subject;
  const tasks = tasksOf(subject);
  const expected = new Map<string, unknown>();

  describe("broken numbers", () => {
    beforeAll(async () => {
      for (const [name, run] of tasks) {
        expected.set(name, withoutTimes(await finish(run(whole()))));
      }
    }, 120_000);

    test("may reach every task", () => {
      expect(poisons.flatMap(({ breaks }) => Object.keys(breaks))).toEqual(
        expect.arrayContaining([...tasks.keys()]),
      );
    });

    test.each(poisons)(
      "$stage: $part",
      { timeout: 120_000 },
      async ({ part, value = Number.NaN, breaks, from = 1 }) => {
        const model = await subject.open(undefined, (runtime) => {
          const damaged = damageable(runtime);
          damaged.damage({ weight: { part, value } });
          return damaged.runtime;
        });
        for (const [name, run] of tasks) {
          const place = breaks[name];
          if (place === undefined) {
            expect(withoutTimes(await finish(run(model.stages))), name).toEqual(expected.get(name));
          } else {
            await expectBroken(run(model.stages), { name, place, from });
          }
        }
        await model.dispose();
      },
    );
  });
}

/** What is to be told, and when. */
interface Broken {
  readonly name: Task;
  readonly place: string;
  readonly from: number;
}

/** Before the error come previews of steps that were right, text in front of a picture, and no picture. */
async function expectBroken(
  task: AsyncGenerator<RunEvent, unknown>,
  { name, place, from }: Broken,
): Promise<void> {
  const seen: RunEvent[] = [];
  const error = await drain(task, seen).catch((reason: unknown) => reason);
  expect(error, name).toMatchObject({ code: "numerics" });
  const details = ModelError.isModelError(error) ? error.details : {};
  expect(details, name).toHaveProperty(place);
  const isCounted = ["step", "vector", "embedding", "code"].includes(place);
  // Text in front of a picture has steps of its own.
  if (isCounted && name !== "converse") expect(details[place], name).toBe(from);
  expect(seen.filter(({ type }) => type === "image")).toEqual([]);
  for (const event of seen) if (event.type === "preview") expect(event.step).toBeLessThan(from);
}

async function drain(task: AsyncGenerator<RunEvent, unknown>, seen: RunEvent[]): Promise<unknown> {
  let next = await task.next();
  for (; !next.done; next = await task.next()) seen.push(next.value);
  return next.value;
}
