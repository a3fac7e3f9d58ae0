import { expect, test } from "vitest";
import { createWasmRuntime } from "../../../src/session/wasm-runtime.ts";
import { onnxGraph } from "../../support/onnx.ts";

test("adds", async () => {
  const runtime = await createWasmRuntime();
  const graph = onnxGraph({
    name: "add",
    inputs: [{ name: "x", dtype: "f32", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "f32", shape: ["n"] }],
    weightParts: [{ name: "w", dtype: "f32", shape: [1] }],
    nodes: [{ op: "Add", inputs: ["x", "w"], outputs: ["y"] }],
  });
  const session = await runtime.createSession(
    graph,
    new Map([["w", runtime.createTensor("f32", [1], Float32Array.of(2))]]),
  );
  const x = runtime.createTensor("f32", [3], Float32Array.of(1, 2, 3));
  const { y } = await session.run({ x });
  expect(await runtime.read(y!)).toEqual(Float32Array.of(3, 4, 5));
});
