import { describe, expect, test } from "vitest";
import type { Graph } from "../../../src/graph/graph.ts";
import { Residency, weightBytes } from "../../../src/session/residency.ts";
import { WeightBank, type ReadParts } from "../../../src/session/weight-bank.ts";
import { createFakeRuntime } from "../../support/fake-runtime.ts";

/** A graph that binds one f32 weight of `count` numbers for each name. */
function graphOf(weights: Readonly<Record<string, number>>): Graph {
  const weightParts = Object.entries(weights).map(([name, count]) => ({
    name,
    dtype: "f32" as const,
    shape: [count],
  }));
  return { name: "g", bytes: new Uint8Array(), inputs: [], outputs: [], weights: [], weightParts };
}

// "shared" belongs to both: 40 + 60 = 100 bytes, 40 + 80 = 120 bytes, 180 bytes together.
const CORE = graphOf({ shared: 10, core: 15 });
const DECODER = graphOf({ shared: 10, decoder: 20 });

function open(budgetBytes?: number) {
  const runtime = createFakeRuntime();
  const log: string[] = [];
  const read: ReadParts = async function* (names) {
    const [, unique] = DECODER.weightParts;
    for (const { name, dtype, shape } of [...CORE.weightParts, ...(unique ? [unique] : [])]) {
      if (!names.has(name)) continue;
      log.push(`read ${name}`);
      yield { name, dtype, shape, bytes: new Uint8Array((shape[0] ?? 0) * 4) };
    }
  };
  const bank = new WeightBank(runtime, read);
  const residency = new Residency(bank, budgetBytes);
  const add = (name: string, graph: Graph) =>
    residency.add({
      name,
      graphs: [graph],
      async open() {
        log.push(`open ${name}`);
        return { dispose: async () => void log.push(`close ${name}`) };
      },
    });
  const stages = { core: add("core", CORE), decoder: add("decoder", DECODER) };
  const resident = () =>
    residency.info().flatMap(({ name, isResident }) => (isResident ? name : []));
  return { ...stages, residency, bank, log, resident };
}

describe("Residency", () => {
  test("without a budget opens all, and keeps all", async () => {
    const { residency, core, decoder, log, resident } = open();
    await residency.openAll();
    await core.enter();
    await decoder.enter();
    expect(resident()).toEqual(["core", "decoder"]);
    expect(log).toEqual(["read shared", "read core", "open core", "read decoder", "open decoder"]);
  });

  test("with a budget for one lets them take turns, and keeps what they share", async () => {
    const { residency, core, decoder, bank, log, resident } = open(130);
    await residency.openAll();
    expect(resident()).toEqual(["core"]);
    await decoder.enter();
    expect(resident()).toEqual(["decoder"]);
    expect([...bank.tensors.keys()]).toEqual(["shared", "decoder"]);
    await core.enter();
    expect(resident()).toEqual(["core"]);
    expect(log.slice(-4)).toEqual(["open decoder", "close decoder", "read core", "open core"]);
  });

  test("never holds more than the budget, whatever is entered", async () => {
    for (const budget of [120, 150, 179, 180, 500]) {
      const { residency, core, decoder, bank } = open(budget);
      await residency.openAll();
      for (const stage of [decoder, core, core, decoder, core]) {
        await stage.enter();
        const bytes = [...bank.tensors.values()].reduce(
          (sum, { byteLength }) => sum + byteLength,
          0,
        );
        expect(bytes).toBeLessThanOrEqual(budget);
      }
    }
  });

  test("counts weights that two graphs bind once", () => {
    expect(weightBytes([CORE, DECODER])).toBe(180);
  });

  test("a stage that is larger than the budget is a clear error, and the others live", async () => {
    const { core, decoder } = open(110);
    await core.enter();
    await expect(decoder.enter()).rejects.toMatchObject({
      code: "out-of-memory",
      details: { stage: "decoder", neededBytes: 120, availableBytes: 110 },
    });
    expect(core.opened).toBeDefined();
  });

  test("a stage that could not be opened is opened again when it is next entered", async () => {
    const runtime = createFakeRuntime();
    const none: ReadParts = async function* () {
      yield* [];
    };
    const residency = new Residency(new WeightBank(runtime, none));
    let attempts = 0;
    const stage = residency.add({
      name: "core",
      graphs: [],
      async open() {
        attempts += 1;
        if (attempts === 1) throw new Error("no luck");
        return { dispose: async () => undefined };
      },
    });
    await expect(stage.enter()).rejects.toThrow("no luck");
    await stage.enter();
    expect(attempts).toBe(2);
  });

  test("closes what is open when the model goes", async () => {
    const { residency, log } = open(130);
    await residency.openAll();
    await residency.dispose();
    expect(log.at(-1)).toBe("close core");
  });
});
