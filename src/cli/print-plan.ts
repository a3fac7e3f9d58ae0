// A plan as text for a terminal.
import type { DeviceLimits, Plan, QuantizedPlan } from "../engine/model-plan.ts";
import { obstacle } from "../engine/model-plan.ts";

/** The plan in lines, with a verdict for the device where limits are given. */
export function printPlan(plan: Plan, limits: DeviceLimits): string {
  const lines = [`${plan.source}: ${plan.family}`];
  for (const { companion, tensors, parameters } of plan.totals) {
    const owner = companion === "" ? "its own files" : `companion ${companion}`;
    const published = formatBytes(2 * parameters);
    lines.push(
      `  ${owner}: ${count(tensors)} tensors, ${count(parameters)} parameters, ${published} in 16 bit`,
    );
  }
  lines.push("", ...table(plan.quantized), "");
  lines.push(
    "Bytes of weights on a device that computes in f16. What comes on top: caches and intermediate results of an " +
      "answer and a drawing of the usual size.",
  );
  const hasLimits = limits.maxBufferBytes !== undefined || limits.memoryBytes !== undefined;
  if (hasLimits) lines.push("", ...verdicts(plan.quantized, limits));
  return `${lines.join("\n")}\n`;
}

/** 1234567 -> "1.23 MB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

function table(plans: readonly QuantizedPlan[]): string[] {
  const stages = plans[0]?.stages.map(({ name }) => name) ?? [];
  const head = [
    "",
    "stored",
    "shards",
    ...stages,
    "all stages",
    "in turns",
    "on top",
    "largest buffer",
  ];
  const rows = plans.map((plan) => [
    plan.quantization,
    formatBytes(plan.storedBytes),
    count(plan.shards),
    ...plan.stages.map(({ bytes }) => formatBytes(bytes)),
    formatBytes(plan.residentBytes),
    formatBytes(plan.largestStageBytes),
    formatBytes(plan.workingBytes),
    `${formatBytes(plan.largestBuffer.bytes)} (${plan.largestBuffer.name})`,
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) =>
        column === 0 || column === row.length - 1
          ? cell.padEnd(widths[column] ?? 0)
          : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
}

function verdicts(plans: readonly QuantizedPlan[], limits: DeviceLimits): string[] {
  const { maxBufferBytes, memoryBytes } = limits;
  const given = [
    ...(maxBufferBytes === undefined ? [] : [`buffers up to ${formatBytes(maxBufferBytes)}`]),
    ...(memoryBytes === undefined ? [] : [`${formatBytes(memoryBytes)} for weights`]),
  ];
  return [
    `A device with ${given.join(" and ")}:`,
    ...plans.map((plan) => `  ${plan.quantization.padEnd(3)}  ${verdict(plan, limits)}`),
  ];
}

function verdict(plan: QuantizedPlan, limits: DeviceLimits): string {
  const found = obstacle(plan, limits);
  if (!found) {
    const fitsWhole = plan.residentBytes <= (limits.memoryBytes ?? Infinity);
    return fitsWhole ? "runs, all stages at once" : "runs, stages take turns";
  }
  const needed = formatBytes(found.neededBytes);
  const reasons = {
    buffer: `does not run: ${plan.largestBuffer.name} needs a buffer of ${needed}`,
    result: `does not draw its usual size: ${plan.largestResult.name} makes a result of ${needed}`,
    memory: `does not run: its largest stage has ${needed} of weights`,
  };
  return reasons[found.kind];
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
