// Where a patch is: the middle of a table of two-dimensional sinusoids. A patch's vector is one half for its
// column and one for its row, so two short tables say it all: the published file's buffer of 453 MB is not
// read.
// https://github.com/VectorSpaceLab/OmniGen/blob/d475201/OmniGen/model.py#L76-L130
import { cast, concat, expand, reshape } from "../../graph/ops/movement.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/graph.ts";
import type { OmniGenConfig } from "./config.ts";

// Coordinates run from 0 to this, however large the table is.
const BASE_SIZE = 64;
const MAX_PERIOD = 10000;

/**
 * Vectors of the middle `count` coordinates of one axis, [count, hidden / 2]: sines, then cosines.
 *
 * @param count - patches along the axis, at most the table's size
 */
export function axisTable(
  { gridSize, language }: Pick<OmniGenConfig, "gridSize" | "language">,
  count: number,
): Float32Array<ArrayBuffer> {
  const width = language.hiddenSize / 2;
  const half = width / 2;
  const first = Math.floor((gridSize - count) / 2);
  return Float32Array.from({ length: count * width }, (_, at) => {
    const coordinate = Math.fround((first + Math.floor(at / width)) / (gridSize / BASE_SIZE));
    const angle = coordinate * MAX_PERIOD ** -((at % half) / half);
    return at % width < half ? Math.sin(angle) : Math.cos(angle);
  });
}

/**
 * Vectors of a whole grid, [1, rows * columns, hidden], of the inputs `grid.columns` and `grid.rows`
 * (f32 [count, hidden / 2]). The column's half comes first.
 */
export function gridPositions(
  g: GraphBuilder,
  { language }: Pick<OmniGenConfig, "language">,
  rows: number,
  columns: number,
): Value {
  const half = language.hiddenSize / 2;
  const across = cast(g, g.input("grid.columns", "f32", [columns, half]), g.float);
  const down = cast(g, g.input("grid.rows", "f32", [rows, half]), g.float);
  const left = expand(g, reshape(g, across, [1, columns, half]), [rows, columns, half]);
  const right = expand(g, reshape(g, down, [rows, 1, half]), [rows, columns, half]);
  return reshape(g, concat(g, [left, right], 2), [1, rows * columns, 2 * half]);
}
