import { createWasmRuntime } from "../../../src/session/wasm-runtime.ts";
import { runCachedCoreContract } from "../../contract/cached-core.ts";

runCachedCoreContract(createWasmRuntime);
