import { expect, test } from "vitest";
import { Recent } from "../../../src/models/recent.ts";

function items() {
  const log: string[] = [];
  const make = (name: string) => () => {
    log.push(`make ${name}`);
    return Promise.resolve({
      name,
      dispose: () => {
        log.push(`dispose ${name}`);
        return Promise.resolve();
      },
    });
  };
  return { log, make };
}

test("keeps the items that were used last", async () => {
  const { log, make } = items();
  const recent = new Recent<Awaited<ReturnType<ReturnType<typeof make>>>>(2);
  for (const key of ["a", "b", "a", "c", "a"]) await recent.get(key, make(key));
  expect(log).toEqual(["make a", "make b", "dispose b", "make c"]);
  expect(recent.latest?.name).toBe("a");
});

test("disposes every item once", async () => {
  const { log, make } = items();
  const recent = new Recent<Awaited<ReturnType<ReturnType<typeof make>>>>(2);
  await recent.get("a", make("a"));
  await recent.dispose();
  await recent.dispose();
  expect(log).toEqual(["make a", "dispose a"]);
  expect(recent.latest).toBeUndefined();
});
