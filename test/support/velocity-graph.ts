// A velocity field that is small enough to be written down: dx/dt of two rows, conditional and not, of
// latents and time, through one weight.
import type { Graph } from "../../src/graph/graph.ts";
import { eulerSchedule } from "../../src/flow/schedule.ts";
import type { Runtime, Tensor } from "../../src/session/runtime.ts";
import { onnxGraph } from "./onnx.ts";

export const LATENTS = [2, 3, 5] as const;

/** velocity = rows (x * scale + time), (x * scale - time). */
export function velocityGraph(): Graph {
  return onnxGraph({
    name: "velocity",
    inputs: [
      { name: "latents", dtype: "f32", shape: LATENTS },
      { name: "time", dtype: "f32", shape: [1] },
    ],
    outputs: [{ name: "velocity", dtype: "f32", shape: [2 * LATENTS[0], ...LATENTS.slice(1)] }],
    weightParts: [{ name: "scale", dtype: "f32", shape: [1] }],
    nodes: [
      { op: "Mul", inputs: ["latents", "scale"], outputs: ["scaled"] },
      { op: "Add", inputs: ["scaled", "time"], outputs: ["conditional"] },
      { op: "Sub", inputs: ["scaled", "time"], outputs: ["unconditional"] },
      {
        op: "Concat",
        inputs: ["conditional", "unconditional"],
        outputs: ["velocity"],
        attributes: { axis: 0 },
      },
    ],
  });
}

/** The same in plain TypeScript, with guidance: v_u + guidance * (v_c - v_u). */
export function guidedVelocity(x: number, time: number, scale: number, guidance: number): number {
  return x * scale - time + guidance * 2 * time;
}

/** A captured field and its step, ready to be called in a loop. */
export async function flowLoop(
  runtime: Runtime,
  times: Float32Array<ArrayBuffer>,
  scale: number,
  guidance: number,
) {
  const initial = Float32Array.from({ length: 30 }, (_, n) => Math.sin(n));
  const weights = new Map([["scale", runtime.createTensor("f32", [1], Float32Array.of(scale))]]);
  const session = await runtime.createSession(velocityGraph(), weights, { capture: true });
  const latents: Tensor = runtime.createTensor("f32", LATENTS);
  const start = runtime.createTensor("f32", LATENTS);
  const time = runtime.createTensor("f32", [1]);
  const progress = runtime.createTensor("u32", [2]);
  const schedule = eulerSchedule(times);
  const velocity = await runtime.createStableTensor("f32", [4, 3, 5]);
  const advance = runtime.kernels.solverStep({
    latents,
    start,
    velocity,
    progress,
    time,
    weights: [guidance, 1 - guidance],
    moves: runtime.createTensor("f32", [schedule.steps, 2], schedule.moves),
    times: runtime.createTensor("f32", [schedule.steps, 1], schedule.times),
  });
  const evaluate = () => session.run({ latents, time }, { velocity });
  // The first run records the command list.
  await evaluate();
  runtime.write(latents, initial);
  runtime.write(start, initial);
  runtime.write(time, times.subarray(0, 1));
  return { start: initial, latents, progress, evaluate, advance, session };
}
