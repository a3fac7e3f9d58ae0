// The library's flow loop, and the plain one it is measured against: velocity read back to JavaScript,
// guidance and Euler step there, latents uploaded again, at every step.
import { assert } from "../../src/base/assert.ts";
import { integrate } from "../../src/flow/integrate.ts";
import type { VelocityField } from "../../src/flow/integrate.ts";
import { torchNoise } from "../../src/flow/noise.ts";
import type { DrawByFlow } from "../../src/models/family.ts";
import type { Runtime } from "../../src/session/runtime.ts";

/** What a loop works on. */
export interface LoopSetting {
  readonly runtime: Runtime;
  readonly draw: DrawByFlow;
  readonly field: VelocityField;
  readonly steps: number;
}

const SEED = 1;

/** As the library does it; ends when the GPU is done. */
export async function residentLoop({ runtime, draw, field, steps }: LoopSetting): Promise<void> {
  runtime.write(field.latents, firstNoise(draw));
  const options = { times: draw.times(steps), guidance: draw.defaults.guidance };
  for await (const { step } of integrate(runtime, field, options)) void step;
}

/** With all state in JavaScript. */
export async function plainLoop({ runtime, draw, field, steps }: LoopSetting): Promise<void> {
  const latents = firstNoise(draw);
  const times = draw.times(steps);
  const { guidance } = draw.defaults;
  for (let step = 0; step < steps; step++) {
    const [now = 0, next = 0] = times.subarray(step, step + 2);
    runtime.write(field.latents, latents);
    runtime.write(field.time, Float32Array.of(now));
    await field.evaluate();
    const velocity = await runtime.read(field.velocity);
    assert(velocity instanceof Float32Array, "velocities are f32");
    eulerStep(latents, velocity, guidance, next - now);
  }
  runtime.write(field.latents, latents);
}

function firstNoise(draw: DrawByFlow): Float32Array<ArrayBuffer> {
  const { width, height } = draw.defaults;
  return torchNoise(SEED, 1, draw.latentShape(width, height));
}

function eulerStep(
  latents: Float32Array,
  velocity: Float32Array,
  guidance: number,
  stepSize: number,
): void {
  const hasTwoRows = velocity.length >= latents.length * 2;
  for (let index = 0; index < latents.length; index++) {
    const conditional = velocity[index] ?? 0;
    const base = hasTwoRows ? (velocity[latents.length + index] ?? 0) : conditional;
    latents[index] = (latents[index] ?? 0) + stepSize * (base + guidance * (conditional - base));
  }
}

/** Largest difference of the latents that the two loops end with; a benchmark of two different things is none. */
export async function differenceOfLoops(setting: LoopSetting): Promise<number> {
  const { runtime, field } = setting;
  await residentLoop(setting);
  const resident = await runtime.read(field.latents);
  await plainLoop(setting);
  const plain = await runtime.read(field.latents);
  return Math.max(
    ...Array.from(resident, (value, index) => Math.abs(value - (plain[index] ?? NaN))),
  );
}
