// Where every slot of a conversation stands: text counts up, a picture spreads over rows and columns at one
// time. The tables of angles follow from that. Pure numbers.
// https://github.com/modelscope/Nexus-Gen/blob/fb49ff5/modeling/ar/modeling_qwen2_5_vl.py#L1545
import type { NexusGenConfig } from "./config.ts";
import type { TokenGrid } from "./picture.ts";

/** A run of slots. */
export type Stretch =
  | { readonly kind: "text"; readonly slots: number }
  /** A picture that the user gave: text behind it goes on behind its longer side. */
  | { readonly kind: "seen"; readonly grid: TokenGrid }
  /**
   * A picture that the model drew: text behind it goes on behind all its slots. The authors' loop counts so,
   * unlike their training.
   */
  | { readonly kind: "drawn"; readonly grid: TokenGrid };

/** [time, row, column] of every slot, then text up to `capacity` slots. */
export function slotPositions(
  stretches: readonly Stretch[],
  capacity: number,
): [number, number, number][] {
  const positions: [number, number, number][] = [];
  let next = 0;
  const text = (slots: number): void => {
    for (let slot = 0; slot < slots; slot++, next++) positions.push([next, next, next]);
  };
  for (const stretch of stretches) {
    if (stretch.kind === "text") {
      text(stretch.slots);
      continue;
    }
    const { rows, columns } = stretch.grid;
    for (let token = 0; token < rows * columns; token++) {
      positions.push([next, next + Math.floor(token / columns), next + (token % columns)]);
    }
    next += stretch.kind === "seen" ? Math.max(rows, columns) : rows * columns;
  }
  text(capacity - positions.length);
  return positions;
}

/** Slots of stretches. */
export function slotsOf(stretches: readonly Stretch[]): number {
  return stretches.reduce(
    (sum, stretch) =>
      sum + (stretch.kind === "text" ? stretch.slots : stretch.grid.rows * stretch.grid.columns),
    0,
  );
}

/** cos and sin of every slot's angles, [slots, head size / 2] each; positions may be fractions. */
export function mropeTables(
  positions: readonly (readonly number[])[],
  { language, mropeSection }: Pick<NexusGenConfig, "language" | "mropeSection">,
): { readonly cos: Float32Array<ArrayBuffer>; readonly sin: Float32Array<ArrayBuffer> } {
  const { headDim, ropeTheta } = language;
  const half = headDim / 2;
  const axes = mropeSection.flatMap((size, axis) => Array.from({ length: size }, () => axis));
  // The reference multiplies in f32: angle = position * f32(theta^(-2i/size)).
  const frequencies = Float32Array.from(
    { length: half },
    (_, i) => 1 / ropeTheta ** ((2 * i) / headDim),
  );
  const angles = Float32Array.from({ length: positions.length * half }, (_, at) => {
    const position = positions[Math.floor(at / half)];
    const axis = axes[at % half] ?? 0;
    return (position?.[axis] ?? 0) * (frequencies[at % half] ?? 0);
  });
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
}
