import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { runCachedCoreContract } from "../../contract/cached-core.ts";

runCachedCoreContract(createWebGpuRuntime);
