// Broken numbers in every family: a weight that is NaN or infinite when the model is opened, and read-backs that
// give zeros as a lost device may. A task says so, or gives the very bytes that it gives without the damage.
import { present } from "../../../src/base/assert.ts";
import { ModelError } from "../../../src/base/errors.ts";
import {
  finish,
  tasksOf,
  withoutTimes,
  type FamilySubject,
  type Task,
} from "../../contract/family-calls.ts";
import { pseudoRandom } from "../../support/damage-json.ts";
import { damageable, type DamagedRuntime } from "../../support/damaged-runtime.ts";
import { TINY_FAMILIES } from "../../support/tiny-families.ts";
import { pick } from "../corpus.ts";
import type { Rig, RigResult } from "../rig.ts";
import { runSeeds } from "../rig.ts";
import { claim } from "../typed.ts";

const KINDS = ["NaN", "Infinity", "zeros from one read-back on", "zeros in one read-back"] as const;

/** What a family gives where nothing is broken. */
interface Whole {
  readonly tasks: readonly {
    readonly name: Task;
    readonly result: string;
    readonly reads: number;
  }[];
  /** Graphs with the parts of the weights that they bind. */
  readonly graphs: readonly (readonly string[])[];
}

type Outcome = "told" | "the same";

/** Opens a family on a runtime that can be damaged. */
async function open(subject: FamilySubject, damage: (runtime: DamagedRuntime) => void) {
  let runtime: DamagedRuntime | undefined;
  const model = await subject.open(undefined, (whole) => {
    runtime = damageable(whole);
    damage(runtime);
    return runtime.runtime;
  });
  return { model, damaged: present(runtime, "runtime") };
}

async function observe(subject: FamilySubject): Promise<Whole> {
  const { model, damaged } = await open(subject, () => undefined);
  const tasks: Whole["tasks"][number][] = [];
  for (const [name, start] of tasksOf(subject)) {
    const before = damaged.reads;
    const result = asText(await finish(start(model.stages)));
    tasks.push({ name, result, reads: damaged.reads - before });
  }
  await model.dispose();
  const graphs = [...damaged.parts.values()].map((parts) => [...parts]);
  return { tasks, graphs: graphs.filter((parts) => parts.length > 0) };
}

async function breakOne(subject: FamilySubject, whole: Whole, seed: number): Promise<Outcome> {
  const random = pseudoRandom(seed);
  const draw = <T>(items: readonly T[]): T => pick(items, random(1_000_003));
  const [task, kind, part] = [draw(whole.tasks), draw(KINDS), draw(draw(whole.graphs))];
  const isWeight = kind === "NaN" || kind === "Infinity";
  const { model, damaged } = await open(subject, (runtime) => {
    if (isWeight) runtime.damage({ weight: { part, value: Number(kind) } });
  });
  if (!isWeight) {
    const first = damaged.reads + random(task.reads);
    const count = kind === "zeros in one read-back" ? 1 : Infinity;
    damaged.damage({ zeroReads: { first, count } });
  }
  try {
    const start = present(tasksOf(subject).get(task.name), "task");
    const result = asText(await finish(start(model.stages)));
    const where = `${subject.name} ${task.name}: ${kind}${isWeight ? ` in ${part}` : ""}`;
    claim(result === task.result, `silently wrong: ${where}`);
    return "the same";
  } catch (error) {
    if (ModelError.isModelError(error) && error.code === "numerics") return "told";
    throw error;
  } finally {
    await model.dispose();
  }
}

function asText(result: unknown): string {
  return JSON.stringify(withoutTimes(result), (_, value: unknown) =>
    ArrayBuffer.isView(value)
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64")
      : value,
  );
}

async function run(count: number, seed: number): Promise<RigResult> {
  const known = new Map<FamilySubject, Whole>();
  const seen = { told: 0, "the same": 0 };
  const result = await runSeeds({ count, seed }, async (one) => {
    const family = pick(TINY_FAMILIES, one);
    const whole = known.get(family) ?? (await observe(family));
    known.set(family, whole);
    seen[await breakOne(family, whole, one)] += 1;
  });
  return { ...result, seen: `${seen.told} told, ${seen["the same"]} without effect` };
}

/** See the top of the file. */
export const rig: Rig = {
  name: "poisoned",
  what: "NaN, infinite weights and zeroed read-backs in every family's tasks",
  count: 100,
  slice: 10,
  allowed: "0 silently wrong",
  run,
};
