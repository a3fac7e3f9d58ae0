import { describe } from "vitest";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { runRuntimeContract } from "../../contract/runtime.ts";

describe("createWebGpuRuntime", () => runRuntimeContract(createWebGpuRuntime));
