// Collects nodes, ports and weights while model code runs, and turns them into an ONNX graph. Knows names
// and shapes; what an operation does to a shape is said in ops/.
import { assert } from "../base/assert.ts";
import type { DType, FloatType, Quantization } from "../base/dtype.ts";
import { toF16Bits } from "../base/float16.ts";
import { elementCount } from "../base/shape.ts";
import {
  storageOf,
  storedParts,
  type StoredPart,
  type WeightDeclaration,
} from "../base/weight-declaration.ts";
import { encodeModel, type Attribute, type Initializer, type Node } from "./encode.ts";
import type { Dimension, Graph, Value } from "./graph.ts";
import { sizeResults, type ResultSizes } from "./result-sizes.ts";

/** Outputs of this name are caches, which their caller holds and the graph writes. */
const CACHE = "present.";

/** How a graph computes and how its weights are stored. */
export interface GraphBuilderOptions {
  readonly name: string;
  readonly float: FloatType;
  readonly quantization: Quantization;
  /** Companion whose checkpoint the weights are in; default the model's own. */
  readonly companion?: string;
}

/** A weight as model code declares it: what can be derived is. */
export type WeightRequest = Pick<WeightDeclaration, "tensor" | "shape" | "use"> &
  Partial<Pick<WeightDeclaration, "aliases" | "sourceShape" | "rows" | "keepAtLeast">>;

/** dtype and shape of an output that an operation is about to make. */
export interface ValueType {
  readonly dtype: DType;
  readonly shape: readonly Dimension[];
}

/** A graph under construction. */
export class GraphBuilder {
  readonly name: string;
  readonly float: FloatType;
  readonly quantization: Quantization;
  readonly #companion: string;
  readonly #nodes: Node[] = [];
  readonly #initializers: Initializer[] = [];
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #weights = new Map<string, { declaration: WeightDeclaration; values: Value[] }>();
  readonly #parts: StoredPart[] = [];
  readonly #scalars = new Map<string, Value>();
  /** Names that values were given as outputs, by the name of their making. */
  readonly #renamed = new Map<string, string>();
  /** What nodes make, by the name of its making. */
  readonly #made = new Map<string, Value>();
  #counter = 0;

  constructor({ name, float, quantization, companion = "" }: GraphBuilderOptions) {
    this.name = name;
    this.float = float;
    this.quantization = quantization;
    this.#companion = companion;
  }

  /** A tensor that is fed at every run. */
  input(name: string, dtype: DType, shape: readonly Dimension[]): Value {
    assert(!this.#inputs.some((input) => input.name === name), `input ${name} is declared once`);
    const value = { name, dtype, shape };
    this.#inputs.push(value);
    return value;
  }

  /**
   * Names a value as a result of the graph. The node that makes it writes the result itself, without a copy:
   * a key/value cache is updated in place only so.
   */
  output(name: string, value: Value): void {
    assert(
      !this.#outputs.some((output) => output.name === name),
      `output ${name} is declared once`,
    );
    const maker = this.#nodes.some(({ outputs }) => outputs.includes(value.name));
    assert(
      maker && !this.#renamed.has(value.name),
      `output ${name} is made by a node, and named once`,
    );
    this.#renamed.set(value.name, name);
    this.#outputs.push({ ...value, name });
  }

  /** Numbers inside the graph file; meant for a handful of them. */
  constant(dtype: DType, shape: readonly number[], data: ArrayBufferView): Value {
    const name = this.#unique("constant");
    this.#initializers.push({ name, dtype, shape, data });
    return { name, dtype, shape };
  }

  /** One number in the graph's float type. */
  scalar(value: number, dtype: FloatType = this.float): Value {
    const key = `${dtype} ${value}`;
    const known = this.#scalars.get(key);
    if (known !== undefined) return known;
    const data = dtype === "f16" ? Uint16Array.of(toF16Bits(value)) : Float32Array.of(value);
    const scalar = this.constant(dtype, [], data);
    this.#scalars.set(key, scalar);
    return scalar;
  }

  /** Adds one operation. The caller says what comes out. */
  node(
    type: string,
    inputs: readonly (Value | undefined)[],
    outputs: readonly ValueType[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = "",
  ): Value[] {
    const values = outputs.map(({ dtype, shape }) => ({ name: this.#unique(type), dtype, shape }));
    for (const value of values) this.#made.set(value.name, value);
    this.#nodes.push({
      type,
      domain,
      attributes,
      inputs: inputs.map((input) => input?.name ?? ""),
      outputs: values.map(({ name }) => name),
    });
    return values;
  }

  /** One value for each stored part of a weight. The same weight asked for twice is one input. */
  weight(request: WeightRequest): Value[] {
    const declaration = this.#declare(request);
    const known = this.#weights.get(declaration.key);
    if (known !== undefined) return known.values;
    const storage = storageOf(declaration, this.quantization);
    const values = storedParts(declaration, storage).map((part): Value => {
      const dtype = part.dtype === "u8" ? "u8" : this.float;
      this.#parts.push({ ...part, dtype });
      return { name: part.name, dtype, shape: part.shape };
    });
    this.#weights.set(declaration.key, { declaration, values });
    return values;
  }

  /** The finished graph. */
  build(): Graph {
    const weightInputs = [...this.#weights.values()].flatMap(({ values }) => values);
    const bytes = encodeModel({
      name: this.name,
      nodes: this.#nodes.map((node) => this.#named(node)),
      initializers: this.#initializers,
      inputs: [...this.#inputs, ...weightInputs],
      outputs: this.#outputs,
    });
    return {
      name: this.name,
      bytes,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      weights: [...this.#weights.values()].map(({ declaration }) => declaration),
      weightParts: [...this.#parts],
      results: this.#sizeResults(),
    };
  }

  #sizeResults(): ResultSizes {
    const renamed = [...this.#renamed];
    return sizeResults({
      nodes: this.#nodes,
      made: this.#made,
      outputs: new Set(renamed.map(([name]) => name)),
      held: new Set(renamed.filter(([, name]) => name.startsWith(CACHE)).map(([name]) => name)),
    });
  }

  #named(node: Node): Node {
    const final = (name: string): string => this.#renamed.get(name) ?? name;
    return { ...node, inputs: node.inputs.map(final), outputs: node.outputs.map(final) };
  }

  #declare(request: WeightRequest): WeightDeclaration {
    const { tensor, shape, rows } = request;
    const slice = rows === undefined ? "" : `[${rows.join(":")}]`;
    const scope = this.#companion === "" ? "" : `${this.#companion}/`;
    assert(elementCount(shape) > 0, `weight ${tensor} has elements`);
    return {
      aliases: [],
      sourceShape: shape,
      ...request,
      companion: this.#companion,
      key: `${scope}${tensor}${slice}`,
    };
  }

  #unique(type: string): string {
    return `${type}_${this.#counter++}`;
  }
}
