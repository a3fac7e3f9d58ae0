// `npm run bench`: measures load, drawing, answering and the flow loop in a headless Chromium, prints a table.
//   --json FILE         also writes { machine, adapter, commit, rows }
//   --model FOLDER      a checkpoint on this machine; default: the embedded model
//   --backend wasm      default: webgpu (SwiftShader; the machine's GPU with WEB_UMM_GPU=1)
//   --quantization q8   default: q8     --steps 30     --rounds 3
// On a software adapter a readback costs nothing that can be seen: read ratios there, not milliseconds.
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describeCommit, describeMachine, withPage } from "../support/open-page.mjs";
import { ROOT, setUp } from "../support/set-up.mjs";
import { startHeapMeter } from "./heap-meter.mjs";

const EMBEDDED = join(ROOT, "demo/models/tiny-janusflow");

const { values } = parseArgs({
  options: {
    json: { type: "string" },
    model: { type: "string", default: EMBEDDED },
    backend: { type: "string", default: "webgpu" },
    quantization: { type: "string", default: "q8" },
    steps: { type: "string", default: "30" },
    rounds: { type: "string", default: "3" },
  },
});

setUp();
const model = resolve(values.model);
const name = basename(model);
// The embedded model, and one of the same family some four times its size.
const subjects = [
  { modelName: name, isRandom: false },
  ...(values.model === EMBEDDED ? [{ modelName: "random-janusflow", isRandom: true }] : []),
];
const machine = describeMachine();
const commit = describeCommit();
console.log(`\n${values.quantization}, ${values.steps} steps, commit ${commit}\n${machine}`);
/** @type {import("./row.ts").Row[]} */
const rows = [];
for (const subject of subjects) {
  const { report, peakBytes } = await measure(subject);
  const family = report.rows[0]?.family ?? "";
  const heap = { family, model: subject.modelName, metric: "heap.peakBytes" };
  const measured = [
    ...report.rows,
    /** @type {const} */ ({ ...heap, value: peakBytes, unit: "bytes" }),
  ];
  rows.push(...measured);
  console.log(`\n${subject.modelName}, ${report.adapter}`);
  printRows(measured);
  // What is measured is kept, should the next one fail.
  if (values.json !== undefined) {
    mkdirSync(dirname(resolve(values.json)), { recursive: true });
    const run = { machine, adapter: report.adapter, commit, rows };
    writeFileSync(values.json, `${JSON.stringify(run, null, 2)}\n`);
  }
}

/** @param {{ modelName: string, isRandom: boolean }} subject */
function measure(subject) {
  return withPage("bench", { "/model/": model }, async ({ page }) => {
    const stopMeter = await startHeapMeter(page);
    const report = await page.evaluate(
      (request) => {
        if (!globalThis.runBench) throw new Error("The page has not started.");
        return globalThis.runBench(request);
      },
      /** @type {import("./page.ts").BenchRequest} */ ({
        modelUrl: "./model/",
        ...subject,
        backend: values.backend,
        quantization: values.quantization,
        steps: Number(values.steps),
        rounds: Number(values.rounds),
      }),
    );
    return { report, peakBytes: await stopMeter() };
  });
}

/** @param {readonly import("./row.ts").Row[]} measured */
function printRows(measured) {
  for (const { metric, value, unit, baseline, ratio } of measured) {
    const against =
      baseline === undefined ? "" : `   against ${number(baseline)}: ${number(ratio ?? 0)} x`;
    console.log(`${metric.padEnd(20)} ${number(value).padStart(14)} ${unit.padEnd(6)}${against}`);
  }
}

/** @param {number} value */
function number(value) {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}
