// Pictures on their way into the core: resized as the authors' scripts do, cut, and run through the tower. A
// graph is compiled for each grid of tokens; the last few are kept.
import { present } from "../../base/assert.ts";
import type { Pixels } from "../../base/pixels.ts";
import { patchFeatures, qwenVision } from "../../graph/blocks/qwen-vision.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { dropAlpha } from "../../pixels/preprocess.ts";
import { resizeBicubic, resizeBilinear, type Raster } from "../../pixels/resize.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import { floatTensor, slotNumbers } from "../floats.ts";
import type { GraphOptions, StageContext } from "../family.ts";
import { Recent } from "../recent.ts";
import type { NexusGenConfig } from "./config.ts";
import { cutPatches, gridInputs, smartResize, tokenGrid, type TokenGrid } from "./picture.ts";

/** Patches f32 [1, patches, features] of a grid -> features [1, tokens, hidden] in raster order. */
export function visionGraph(
  { vision }: NexusGenConfig,
  { rows, columns }: TokenGrid,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "vision", ...options });
  const count = rows * columns * vision.mergeSize ** 2;
  const patches = g.input("patches", "f32", [1, count, patchFeatures(vision)]);
  g.output("features", qwenVision(g, patches, count, vision));
  return g.build();
}

/** A picture that a question is about, as image_understanding.py and the processor resize it. */
export function questionRaster(pixels: Pixels, config: NexusGenConfig): Raster {
  const { seen } = config;
  const side = config.vision.patchSize * config.vision.mergeSize;
  // qwen_vl_utils' own limits, which it applies before the script's.
  const fetched = resized(onWhite(pixels), config, 4 * side ** 2, 16384 * side ** 2);
  const { squareSide } = seen;
  if (squareSide > 0) return processed(resizeBicubic(fetched, squareSide, squareSide), config);
  return processed(resized(fetched, config, 4 * side ** 2, seen.maxPixels), config);
}

/** A picture that is to be edited, as image_editing.py and the processor resize it for the core. */
export function editRaster(pixels: Pixels, config: NexusGenConfig): Raster {
  const side = config.vision.patchSize * config.vision.mergeSize;
  const { maxPixels } = config.seen;
  return processed(resized(dropAlpha(pixels), config, 4 * side ** 2, maxPixels), config);
}

/** A picture that is to be edited, as the editing decoder sees it: squashed to a square. */
export function sourceRaster(pixels: Pixels, config: NexusGenConfig): Raster {
  const side = config.sourceGrid * config.vision.patchSize * config.vision.mergeSize;
  return resizeBilinear(dropAlpha(pixels), side, side);
}

/** The tower with the graphs of the grids that it saw last. */
export class NexusVision {
  readonly #context: StageContext<NexusGenConfig>;
  readonly #towers = new Recent<Tower>(TOWERS);

  constructor(context: StageContext<NexusGenConfig>) {
    this.#context = context;
  }

  /** Features [1, tokens, hidden] of a raster whose sides are whole tokens. */
  async see(raster: Raster): Promise<Tensor> {
    const { runtime, config } = this.#context;
    const grid = tokenGrid(raster, config.vision);
    const key = `${grid.rows} x ${grid.columns}`;
    const { session, inputs } = await this.#towers.get(key, () => this.#compile(grid));
    const values = cutPatches(raster, config.vision, config.normalization);
    const features = patchFeatures(config.vision);
    const shape = [1, values.length / features, features];
    const patches = runtime.createTensor("f32", shape, values);
    const outputs = await session.run({ patches, ...inputs });
    patches.dispose();
    return present(outputs["features"], "features");
  }

  dispose(): Promise<void> {
    return this.#towers.dispose();
  }

  async #compile(grid: TokenGrid): Promise<Tower> {
    const { runtime, config, weights, quantization } = this.#context;
    const graph = visionGraph(config, grid, { float: runtime.float, quantization });
    const session = await runtime.createSession(graph, weights.tensors);
    const { cos, sin, windows, order } = gridInputs(grid, config.vision);
    const count = Math.sqrt(windows.length);
    const half = cos.length / count;
    const inputs = {
      "rope.cos": floatTensor(runtime, [count, half], cos),
      "rope.sin": floatTensor(runtime, [count, half], sin),
      positions: slotNumbers(runtime, count),
      windows: runtime.createTensor("f32", [1, 1, count, count], windows),
      order: runtime.createTensor("i32", [order.length], order),
    };
    const dispose = async (): Promise<void> => {
      await session.dispose();
      for (const tensor of Object.values(inputs)) tensor.dispose();
    };
    return { session, inputs, dispose };
  }
}

/** A compiled graph and what its grid alone decides. */
interface Tower {
  readonly session: Session;
  readonly inputs: Readonly<Record<string, Tensor>>;
  dispose(): Promise<void>;
}

// An edit needs two: the picture as the core sees it, and as the decoder does.
const TOWERS = 3;

function resized(
  raster: Raster,
  { vision }: NexusGenConfig,
  minPixels: number,
  maxPixels: number,
): Raster {
  const factor = vision.patchSize * vision.mergeSize;
  const { width, height } = smartResize(raster, { factor, minPixels, maxPixels });
  return resizeBicubic(raster, width, height);
}

function processed(raster: Raster, config: NexusGenConfig): Raster {
  const { processorMinPixels, processorMaxPixels } = config.seen;
  return resized(raster, config, processorMinPixels, processorMaxPixels);
}

// qwen_vl_utils.to_rgb: Pillow's paste with the alpha channel as its mask.
function onWhite({ width, height, data }: Pixels): Raster {
  const rgb = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const alpha = data[pixel * 4 + 3] ?? 255;
    for (let c = 0; c < 3; c++) {
      rgb[pixel * 3 + c] = blend(255, data[pixel * 4 + c] ?? 0, alpha);
    }
  }
  return { width, height, channels: 3, data: rgb };
}

// https://github.com/python-pillow/Pillow/blob/11.0.0/src/libImaging/ImagingUtils.h#L38 (MULDIV255)
function blend(below: number, above: number, alpha: number): number {
  const sum = below * (255 - alpha) + above * alpha + 128;
  return ((sum >> 8) + sum) >> 8;
}
