// The only import of onnxruntime-web: which build, where its files are, and the one lock around it.
// Knows nothing about graphs, tensors or models. The wasm files are emitted beside our own code by the
// bundler (vite: `?url`), so nothing is ever fetched from another origin.
import asyncifyModule from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url&no-inline";
import asyncifyWasm from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url&no-inline";
import jspiModule from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url&no-inline";
import jspiWasm from "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url&no-inline";
import cpuModule from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url&no-inline";
import cpuWasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url&no-inline";
import { importPart } from "../base/import-part.ts";
import type * as OrtNamespace from "onnxruntime-web";

/** What onnxruntime-web exports. */
export type Ort = typeof OrtNamespace;

/**
 * Builds of onnxruntime-web: `jspi` and `asyncify` are the native WebGPU provider (they differ in how
 * wasm waits for the GPU), `cpu` has no WebGPU and is the smallest.
 */
export type OrtBuild = "jspi" | "asyncify" | "cpu";

/** The smaller and faster WebGPU build where the engine can suspend wasm, else the one that works everywhere. */
export function preferredWebGpuBuild(): OrtBuild {
  return "Suspending" in WebAssembly ? "jspi" : "asyncify";
}

const loaded = new Map<OrtBuild, Promise<Ort>>();

/** Downloads and configures one build; the same promise for every later call in this worker. */
export function loadOrt(build: OrtBuild): Promise<Ort> {
  const known = loaded.get(build);
  if (known) return known;
  const loading = importBuild(build);
  loaded.set(build, loading);
  // A download that failed may be tried again.
  loading.catch(() => loaded.delete(build));
  return loading;
}

let tail: Promise<unknown> = Promise.resolve();

/**
 * Runs `call` when every earlier call has settled. Every create, run and release goes through here:
 * overlapping calls hang or crash onnxruntime-web 1.30, also those of different sessions
 * (microsoft/onnxruntime#32561, #32587; reproduced in Chromium 156).
 */
export function exclusive<T>(call: () => Promise<T>): Promise<T> {
  const turn = tail.then(call);
  tail = turn.catch(() => undefined);
  return turn;
}

async function importBuild(build: OrtBuild): Promise<Ort> {
  const ort = await importPart(`onnxruntime's ${build} build`, IMPORTS[build]);
  // One thread: threads need cross-origin isolation, which most pages that embed the library lack.
  ort.env.wasm.numThreads = 1;
  // Errors are thrown; the console is the page's.
  ort.env.logLevel = "fatal";
  // Node (tests of the wasm backend) has no `location` and reads the files from the package itself.
  if (typeof location !== "undefined") ort.env.wasm.wasmPaths = absolute(FILES[build]);
  return ort;
}

const IMPORTS: Readonly<Record<OrtBuild, () => Promise<Ort>>> = {
  jspi: () => import("onnxruntime-web/jspi"),
  asyncify: () => import("onnxruntime-web/webgpu"),
  cpu: () => import("onnxruntime-web/wasm"),
};

interface OrtFiles {
  readonly mjs: string;
  readonly wasm: string;
}

const FILES: Readonly<Record<OrtBuild, OrtFiles>> = {
  jspi: { mjs: jspiModule, wasm: jspiWasm },
  asyncify: { mjs: asyncifyModule, wasm: asyncifyWasm },
  cpu: { mjs: cpuModule, wasm: cpuWasm },
};

// A dev server gives paths, and onnxruntime would resolve them against its own module.
function absolute({ mjs, wasm }: OrtFiles): OrtFiles {
  return { mjs: new URL(mjs, location.href).href, wasm: new URL(wasm, location.href).href };
}
