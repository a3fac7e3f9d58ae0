// Which stages of a model are on the device. All of them where memory allows; with a budget the one that
// works, and of the others those that fit: the least recently used leaves first, and comes back from the store.
import { present } from "../base/assert.ts";
import { bytesPerElement } from "../base/dtype.ts";
import { fail } from "../base/errors.ts";
import type { StageInfo } from "../base/info.ts";
import { elementCount } from "../base/shape.ts";
import type { Graph } from "../graph/graph.ts";
import type { WeightBank } from "./weight-bank.ts";

/** What a stage is while it is on the device: compiled graphs and their caches. */
export interface OpenStage {
  dispose(): Promise<void>;
}

/** A stage as a family describes it. */
export interface StageParts<Open extends OpenStage> {
  readonly name: string;
  /** Every graph whose weights the stage binds; sequence sizes do not matter. */
  readonly graphs: readonly Graph[];
  /** Compiles the stage; its weights are on the device. */
  open(signal?: AbortSignal): Promise<Open>;
}

/** A stage that is entered for work. What one enter gave is good until another stage is entered. */
export interface ResidentStage<Open extends OpenStage> {
  readonly name: string;
  /** The open stage, brought back where it had left. @throws ModelError out-of-memory; the signal's reason */
  enter(signal?: AbortSignal): Promise<Open>;
  /** The stage where it is on the device. */
  readonly opened: Open | undefined;
}

/** The stages of one model on one device. */
export class Residency {
  readonly #weights: WeightBank;
  readonly #budgetBytes: number;
  /** In order of their last use, the newest last. */
  readonly #stages: Stage<OpenStage>[] = [];
  readonly #order: Stage<OpenStage>[] = [];

  /** @param budgetBytes - most bytes of weights at a time; absent: no limit */
  constructor(weights: WeightBank, budgetBytes: number = Infinity) {
    this.#weights = weights;
    this.#budgetBytes = budgetBytes;
  }

  /** A further stage; it is on the device once it was entered. */
  add<Open extends OpenStage>(parts: StageParts<Open>): ResidentStage<Open> {
    const stage: Stage<Open> = new Stage(parts, (signal) => this.#enter(stage, signal));
    this.#stages.push(stage);
    this.#order.push(stage);
    return stage;
  }

  /** Enters every stage in the order of adding, so that nothing waits later; only the first with a short budget. */
  async openAll(signal?: AbortSignal): Promise<void> {
    const all = this.#stages.flatMap(({ graphs }) => graphs);
    const fitting = weightBytes(all) <= this.#budgetBytes ? this.#stages : this.#stages.slice(0, 1);
    for (const stage of fitting) {
      await stage.enter(signal);
      signal?.throwIfAborted();
    }
  }

  /** Every stage in the order of adding. */
  info(): StageInfo[] {
    return this.#stages.map(({ name, graphs, opened }) => ({
      name,
      weightBytes: weightBytes(graphs),
      isResident: opened !== undefined,
    }));
  }

  /** Closes every stage. */
  async dispose(): Promise<void> {
    for (const stage of this.#stages) await stage.close();
  }

  async #enter(stage: Stage<OpenStage>, signal: AbortSignal | undefined): Promise<void> {
    this.#order.splice(this.#order.indexOf(stage), 1);
    this.#order.push(stage);
    if (stage.opened !== undefined) return;
    await this.#makeRoom(stage);
    await this.#weights.load(stage.graphs, signal);
    await stage.open(signal);
  }

  async #makeRoom(entering: Stage<OpenStage>): Promise<void> {
    const needed = weightBytes(entering.graphs);
    if (needed > this.#budgetBytes) {
      throw fail(
        "out-of-memory",
        `The ${entering.name} stage has ${needed} bytes of weights; memoryBudgetBytes allows ${this.#budgetBytes}. ` +
          "Raise the budget or choose a coarser quantization.",
        { stage: entering.name, neededBytes: needed, availableBytes: this.#budgetBytes },
      );
    }
    const staying = (): Stage<OpenStage>[] =>
      this.#order.filter((stage) => stage === entering || stage.opened !== undefined);
    const graphs = (): Graph[] => staying().flatMap((stage) => stage.graphs);
    while (weightBytes(graphs()) > this.#budgetBytes) {
      await present(staying()[0], "a stage that can leave").close();
      this.#weights.keep(graphs());
    }
  }
}

class Stage<Open extends OpenStage> implements ResidentStage<Open> {
  readonly name: string;
  readonly graphs: readonly Graph[];
  readonly #open: (signal?: AbortSignal) => Promise<Open>;
  readonly #bringBack: (signal?: AbortSignal) => Promise<void>;
  #opened: Open | undefined;

  constructor(parts: StageParts<Open>, bringBack: (signal?: AbortSignal) => Promise<void>) {
    this.name = parts.name;
    this.graphs = parts.graphs;
    this.#open = (signal) => parts.open(signal);
    this.#bringBack = bringBack;
  }

  get opened(): Open | undefined {
    return this.#opened;
  }

  async enter(signal?: AbortSignal): Promise<Open> {
    await this.#bringBack(signal);
    return present(this.#opened, this.name);
  }

  async open(signal?: AbortSignal): Promise<void> {
    this.#opened = await this.#open(signal);
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.dispose();
  }
}

/** Bytes of the weights that these graphs bind, each once. */
export function weightBytes(graphs: readonly Graph[]): number {
  const parts = new Map(graphs.flatMap(({ weightParts }) => weightParts.map((p) => [p.name, p])));
  let bytes = 0;
  for (const { dtype, shape } of parts.values())
    bytes += elementCount(shape) * bytesPerElement(dtype);
  return bytes;
}
