// The build for browsers whose wasm cannot suspend (no WebAssembly.Suspending).
import { describe } from "vitest";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { runRuntimeContract } from "../../contract/runtime.ts";

describe("createWebGpuRuntime of the asyncify build", () =>
  runRuntimeContract(() => createWebGpuRuntime({ build: "asyncify" })));
