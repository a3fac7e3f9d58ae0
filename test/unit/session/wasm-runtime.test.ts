import { runBrokenOperators } from "../../contract/broken-operators.ts";
import { runKernelContract } from "../../contract/kernels.ts";
import { runRuntimeContract } from "../../contract/runtime.ts";
import { describe } from "vitest";
import { createWasmRuntime } from "../../../src/session/wasm-runtime.ts";

describe("createWasmRuntime", () => {
  runRuntimeContract(createWasmRuntime);
  runKernelContract(createWasmRuntime);
  runBrokenOperators(createWasmRuntime);
});
