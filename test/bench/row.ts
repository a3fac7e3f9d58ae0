// What a benchmark writes down.

/** One measured number. */
export interface Row {
  readonly family: string;
  readonly model: string;
  /** As "flow.msPerStep". */
  readonly metric: string;
  readonly value: number;
  readonly unit: "ms" | "s" | "bytes" | "count" | "ratio";
  /** What the value is compared with, measured in the same run, in the same unit. */
  readonly baseline?: number;
  /** value / baseline */
  readonly ratio?: number;
}
