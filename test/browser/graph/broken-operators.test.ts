import { runBrokenOperators } from "../../contract/broken-operators.ts";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";

runBrokenOperators(() => createWebGpuRuntime({ float: "f32" }));
