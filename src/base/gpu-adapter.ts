// The GPU adapter that the browser gives this thread, or why it gives none. Asked with a deadline: a browser whose
// GPU hangs behind a shader never answers. Works on a page and in a worker; knows nothing about devices.
import { withDeadline } from "./deadline.ts";
import { fail } from "./errors.ts";
import type { ModelError } from "./errors.ts";

/**
 * Why there is no GPU; `details.reason` of a `webgpu-unavailable` error. "no-adapter": the browser has WebGPU and
 * none for this machine; "blocked": it gave one before and does not any more; "refused": it said why in words;
 * "silent": it did not answer; "no-device": the adapter gave no device.
 */
export type GpuObstacle =
  | "insecure-page"
  | "no-webgpu"
  | "no-adapter"
  | "blocked"
  | "refused"
  | "silent"
  | "no-device"
  | "no-f16";

const MESSAGES = {
  "insecure-page":
    "The page is not a secure context: WebGPU needs https or localhost. Serve the page so.",
  "no-webgpu":
    'This browser has no WebGPU (no navigator.gpu). Use a browser with WebGPU over https or localhost, or backend "wasm" for a small model.',
  "no-adapter":
    "This browser has WebGPU but gave no adapter: the GPU is blocked or switched off. Turn on hardware acceleration, update the graphics driver, or restart the browser.",
  blocked:
    "The browser gave a GPU adapter before and gives none any more: it blocks the GPU after crashes. Reload the page; if that does not help, restart the browser.",
} satisfies Partial<Record<GpuObstacle, string>>;

/**
 * How long an answer about the GPU is waited for. It takes milliseconds, a few seconds while a crashed GPU process
 * starts again or the machine is busy; behind a shader that hangs it never comes.
 */
export const GPU_ANSWER_MS = 20_000;

// Tells a machine without a GPU from a browser that took it away.
let wasThere = false;

/**
 * The best adapter.
 *
 * @throws ModelError webgpu-unavailable with a {@link GpuObstacle}, at the latest after {@link GPU_ANSWER_MS}
 */
export async function requestAdapter(): Promise<GPUAdapter> {
  // It is not there outside browsers.
  if ("isSecureContext" in globalThis && !isSecureContext) throw refused("insecure-page");
  const gpu = typeof navigator === "undefined" ? undefined : (navigator.gpu as GPU | undefined);
  if (!gpu) throw refused("no-webgpu");
  const adapter = await answered(
    () => gpu.requestAdapter({ powerPreference: "high-performance" }),
    (error) =>
      gpuUnavailable("refused", `The browser refused a GPU adapter: ${text(error)}`, error),
  );
  if (!adapter) throw refused(wasThere ? "blocked" : "no-adapter");
  wasThere = true;
  return adapter;
}

/**
 * What the browser answers about the GPU.
 *
 * @param refusal - the error for what `ask` throws
 * @throws ModelError webgpu-unavailable "silent" after {@link GPU_ANSWER_MS}
 */
export async function answered<T>(
  ask: () => Promise<T>,
  refusal: (cause: unknown) => ModelError,
): Promise<T> {
  const answer = new Promise<T>((resolve) => resolve(ask())).catch((error: unknown) => {
    throw refusal(error);
  });
  return withDeadline(answer, GPU_ANSWER_MS, silent);
}

/** The error of every way not to get a GPU. */
export function gpuUnavailable(reason: GpuObstacle, message: string, cause?: unknown): ModelError {
  return fail("webgpu-unavailable", message, { reason }, cause);
}

function refused(reason: keyof typeof MESSAGES): ModelError {
  return gpuUnavailable(reason, MESSAGES[reason]);
}

function silent(): ModelError {
  return gpuUnavailable(
    "silent",
    `The browser did not answer within ${GPU_ANSWER_MS / 1000} s when it was asked for the GPU: it may hang behind ` +
      "the work of another page. Close other pages that use the GPU and load again; if that does not help, " +
      "restart the browser.",
  );
}

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|warp|basic render|software/i;

/** Vendor, architecture, device and description, each once, for people. */
export function describeAdapter({ info }: GPUAdapter): string {
  const parts = [info.vendor, info.architecture, info.device, info.description];
  // Absent in browsers that do not name their adapters.
  const named = parts.filter((part: string | undefined) => part !== undefined && part !== "");
  return [...new Set(named)].join(" ") || "unknown GPU";
}

/** True for an emulator on the CPU (SwiftShader, lavapipe, WARP): correct, but slow. */
export function isSoftwareAdapter(adapter: GPUAdapter): boolean {
  return adapter.info.isFallbackAdapter || SOFTWARE.test(describeAdapter(adapter));
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
