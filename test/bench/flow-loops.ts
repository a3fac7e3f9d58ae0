// The library's flow loop, and the plain one it is measured against: velocity read back to JavaScript,
// guidance and Euler step there, latents uploaded again, at every step.
import { assert } from "../../src/base/assert.ts";
import { elementCount } from "../../src/base/shape.ts";
import type { FlowDrawing } from "../../src/flow/flow-drawing.ts";
import type { Runtime } from "../../src/session/runtime.ts";

/** What a loop works on. */
export interface LoopSetting {
  readonly runtime: Runtime;
  readonly drawing: FlowDrawing;
}

/** As the library does it; ends when the GPU is done. */
export async function residentLoop({ drawing }: LoopSetting): Promise<void> {
  for await (const { step } of drawing.draw(0, { settleEvery: 0 })) void step;
}

/** With all state in JavaScript. */
export async function plainLoop({ runtime, drawing }: LoopSetting): Promise<void> {
  const { field, schedule, weights, latentShape, noise } = drawing.parts;
  const latents = noise.slice(0, elementCount(latentShape));
  for (let step = 0; step < schedule.steps; step++) {
    runtime.write(field.latents, latents);
    runtime.write(field.time, schedule.times.subarray(step, step + 1));
    await field.evaluate();
    const velocity = await runtime.read(field.velocity);
    assert(velocity instanceof Float32Array, "velocities are f32");
    eulerStep(latents, velocity, weights, schedule.moves[2 * step] ?? 0);
  }
  runtime.write(field.latents, latents);
}

function eulerStep(
  latents: Float32Array,
  velocity: Float32Array,
  weights: readonly number[],
  stepSize: number,
): void {
  for (let index = 0; index < latents.length; index++) {
    let mixed = 0;
    weights.forEach((weight, row) => {
      mixed += weight * (velocity[row * latents.length + index] ?? 0);
    });
    latents[index] = (latents[index] ?? 0) + stepSize * mixed;
  }
}
