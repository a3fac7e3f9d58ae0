// The tables that a picture's patches and a sequence's slots read, under their port names.
import type { Runtime, Tensor } from "../../session/runtime.ts";
import { floatTensor } from "../floats.ts";
import type { OmniGenConfig } from "./config.ts";
import { axisTable } from "./grid.ts";
import type { LatentSize } from "./latents.ts";
import { longRopeTables } from "./rope.ts";

/** Positions of the patches of latents of this size. */
export function gridTensors(
  runtime: Runtime,
  config: OmniGenConfig,
  [height, width]: LatentSize,
): Record<"grid.columns" | "grid.rows", Tensor> {
  const half = config.language.hiddenSize / 2;
  const axis = (latents: number): Tensor => {
    const count = latents / config.patchSize;
    return runtime.createTensor("f32", [count, half], axisTable(config, count));
  };
  return { "grid.columns": axis(width), "grid.rows": axis(height) };
}

/** Rotations of `positions` slots of short sequences and, behind them, of as many slots of long ones. */
export function ropeTensors(
  runtime: Runtime,
  { rope }: OmniGenConfig,
  positions: number,
): Record<"rope.cos" | "rope.sin", Tensor> {
  const { cos, sin } = longRopeTables(rope, positions);
  const shape = [2 * positions, rope.headDim / 2];
  return {
    "rope.cos": floatTensor(runtime, shape, cos),
    "rope.sin": floatTensor(runtime, shape, sin),
  };
}
