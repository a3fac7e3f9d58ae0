// What this device can do and what the loaded model takes of it.
import { checkDevice } from "web-umm";
import type { DeviceReport, Model } from "web-umm";
import { find, showFacts } from "./elements.ts";
import { bytes, seconds } from "./format.ts";

const badge = find("p", "device-badge");
const deviceFacts = find("dl", "device-facts");
const modelFacts = find("dl", "model-facts");

/** Asks the browser for its device, and shows and returns the answer. */
export async function showDevice(): Promise<DeviceReport> {
  const report = await checkDevice();
  badge.textContent = badgeText(report);
  badge.classList.toggle("good", report.webgpu && !report.adapter?.isSoftware);
  showFacts(deviceFacts, [
    ["WebGPU", report.webgpu ? "yes" : "no"],
    ["Adapter", adapterName(report)],
    ["Half precision", report.f16 ? "yes" : "no"],
    ["Largest buffer", bytes(report.maxBufferBytes)],
    ["WebAssembly", report.wasm ? "yes" : "no"],
    ["Cross-origin isolated", crossOriginIsolated ? "yes" : "no (not needed)"],
    ...report.reasons.map((reason) => ["Note", reason] as const),
  ]);
  return report;
}

/** Shows what a model tells about itself. */
export function showModel(model: Model | undefined): void {
  if (!model) {
    showFacts(modelFacts, [["Model", "none"]]);
    return;
  }
  const { info } = model;
  const can = Object.entries(info.capabilities).filter(([, isThere]) => isThere);
  const captured = Object.entries(info.captured);
  const { readbacks, uploads, submits } = info.traffic;
  showFacts(modelFacts, [
    ["Family", info.family],
    ["Can do", can.map(([task]) => task).join(", ")],
    ["Computes on", `${info.backend === "webgpu" ? info.device : "the CPU"}, ${info.dtype}`],
    ["Weights", `${info.quantization}, ${bytes(info.storedBytes)} stored`],
    ["Kept", storageText(info.storage)],
    ["Memory", `${bytes(info.tensorBytes)} now, ${bytes(info.peakTensorBytes)} at most`],
    ["Load time", seconds(info.loadSeconds)],
    ...info.stages.map(
      ({ name, weightBytes, isResident }) =>
        [`Stage ${name}`, `${bytes(weightBytes)}${isResident ? "" : ", not resident"}`] as const,
    ),
    ...captured.map(([loop, is]) => [`Loop ${loop}`, is ? "captured" : "not captured"] as const),
    ["Traffic", `${readbacks} readbacks, ${uploads} uploads, ${submits} submits`],
    ...info.notes.map((note) => ["Note", note] as const),
  ]);
}

function storageText({ note, isPersistent }: Model["info"]["storage"]): string {
  if (note !== undefined) return note;
  return isPersistent ? "until you delete it" : "until the browser needs the space";
}

function badgeText(report: DeviceReport): string {
  if (!report.webgpu) return report.wasm ? "CPU only" : "Not supported";
  return report.adapter?.isSoftware ? "WebGPU in software" : `WebGPU · ${adapterName(report)}`;
}

function adapterName({ adapter }: DeviceReport): string {
  if (!adapter) return "none";
  const { vendor, architecture, description } = adapter;
  return description || [vendor, architecture].filter((part) => part !== "").join(" ") || "unnamed";
}
