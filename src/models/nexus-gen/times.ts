// What a decoder's blocks are told about the times of a drawing: a quarter of its weights, which depend on
// the times alone. They work once for all steps, as a stage of their own, and may leave before the painting.
import type { OpenStage } from "../../session/residency.ts";
import type { Tensor } from "../../session/runtime.ts";
import type { StageContext } from "../family.ts";
import { keepOutputs } from "../floats.ts";
import { timesGraph } from "./conditions.ts";
import type { DecoderConfig, NexusGenConfig } from "./config.ts";

/** Modulations of every block at some times. */
export interface Modulated {
  /** Different for different tables. */
  readonly id: number;
  readonly steps: number;
  /** [steps, parts * hidden] by port. */
  readonly tables: Readonly<Record<string, Tensor>>;
}

/** The weights that times go through. */
export class NexusTimes implements OpenStage {
  static #made = 0;
  readonly #context: StageContext<NexusGenConfig>;
  readonly #decoder: DecoderConfig;

  constructor(context: StageContext<NexusGenConfig>, decoder: DecoderConfig) {
    this.#context = context;
    this.#decoder = decoder;
  }

  /** Modulations at these times (sigmas); the caller's. */
  async modulate(times: Float32Array): Promise<Modulated> {
    const { runtime, weights, quantization } = this.#context;
    const steps = times.length;
    const graph = timesGraph(steps, this.#decoder, { float: runtime.float, quantization });
    const session = await runtime.createSession(graph, weights.tensors);
    const input = runtime.createTensor("f32", [steps], times);
    const outputs = await session.run({ times: input });
    const tables = keepOutputs(runtime, outputs);
    input.dispose();
    await session.dispose();
    NexusTimes.#made += 1;
    return { id: NexusTimes.#made, steps, tables };
  }

  // Sessions live for one call only.
  async dispose(): Promise<void> {}
}
