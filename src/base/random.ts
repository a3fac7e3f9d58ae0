// torch's CPU random numbers, so that a seed means the same picture here and in Python. Knows the
// order in which torch draws uniforms; knows nothing about latents or models.

/** Length of the Mersenne twister's state, in 32-bit words. */
const STATE_WORDS = 624;

/** torch.randn of this many values or more takes its vectorised path, which draws in another order. */
const FILL_MINIMUM = 16;

/** The vectorised path pairs value j with value j + 8 inside chunks of 16. */
const HALF_CHUNK = 8;

const UNIFORM_24 = 2 ** -24;
const UNIFORM_53 = 2 ** -53;
const TWO_PI_F32 = Math.fround(2 * Math.PI);

/**
 * The stream of `torch.Generator("cpu").manual_seed(seed)` for float32 tensors on one thread of
 * control: consecutive calls continue it, exactly as consecutive calls with that generator do.
 *
 * Uniforms are bit-equal to torch's. Normals differ by the rounding of log, sin and cos: 2.4e-7 at
 * most from torch's AVX512 path, whose AVX2 and scalar paths differ by 2.2e-6 from each other.
 *
 * @see https://github.com/pytorch/pytorch/blob/v2.7.0/aten/src/ATen/core/MT19937RNGEngine.h
 * @see https://github.com/pytorch/pytorch/blob/v2.7.0/aten/src/ATen/core/DistributionsHelper.h
 * @see https://github.com/pytorch/pytorch/blob/v2.7.0/aten/src/ATen/native/cpu/DistributionTemplates.h
 */
export class TorchGenerator {
  readonly #state = new Uint32Array(STATE_WORDS);
  #nextWord = STATE_WORDS;
  /** The second value of a Box-Muller pair of short randn calls; torch keeps it between calls. */
  #keptNormal: number | undefined;

  /**
   * @param seed - an integer from -(2^53 - 1) to 2^53 - 1. torch's engine sees its low 32 bits
   *   (two's complement), so seeds that are equal modulo 2^32 give the same numbers, there and here.
   * @throws RangeError when `seed` is not such an integer
   */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) {
      throw new RangeError(`seed must be an integer within +-(2^53 - 1), got ${seed}.`);
    }
    this.#state[0] = seed; // typed arrays store modulo 2^32, also for negative numbers
    for (let i = 1; i < STATE_WORDS; i++) {
      const previous = this.#word(i - 1);
      this.#state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
    }
  }

  /**
   * `torch.rand(count)`: uniforms in [0, 1) with 24 bits each.
   *
   * @throws RangeError when `count` is not a non-negative integer
   */
  rand(count: number): Float32Array<ArrayBuffer> {
    checkCount(count);
    return Float32Array.from({ length: count }, () => this.#uniform24());
  }

  /**
   * `torch.randn(shape)` for a contiguous float32 tensor of `count` elements, row-major.
   *
   * @throws RangeError when `count` is not a non-negative integer
   */
  randn(count: number): Float32Array<ArrayBuffer> {
    checkCount(count);
    return count >= FILL_MINIMUM ? this.#fillNormals(count) : this.#fewNormals(count);
  }

  /** torch's normal_fill: all uniforms first, then Box-Muller in chunks of 16. */
  #fillNormals(count: number): Float32Array<ArrayBuffer> {
    const values = this.rand(count);
    const chunk = 2 * HALF_CHUNK;
    for (let start = 0; start + chunk <= count; start += chunk) boxMullerChunk(values, start);
    if (count % chunk !== 0) {
      // torch draws the last 16 anew: some values that were already normals are overwritten
      values.set(this.rand(chunk), count - chunk);
      boxMullerChunk(values, count - chunk);
    }
    return values;
  }

  /** torch's normal_distribution<double>, one value at a time, for fewer than 16 values. */
  #fewNormals(count: number): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length: count }, () => this.#nextNormal());
  }

  #nextNormal(): number {
    const kept = this.#keptNormal;
    if (kept !== undefined) {
      this.#keptNormal = undefined;
      return kept;
    }
    const angle = 2 * Math.PI * this.#uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#uniform53()));
    this.#keptNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  #uniform24(): number {
    return (this.#random32() & 0xffffff) * UNIFORM_24;
  }

  /** The low 53 bits of 64, of which the first word drawn is the high half. */
  #uniform53(): number {
    const high = this.#random32() & 0x1fffff;
    const low = this.#random32();
    return (high * 2 ** 32 + low) * UNIFORM_53;
  }

  #random32(): number {
    if (this.#nextWord === STATE_WORDS) this.#twist();
    let word = this.#word(this.#nextWord++);
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  #twist(): void {
    for (let i = 0; i < STATE_WORDS; i++) {
      const next = this.#word((i + 1) % STATE_WORDS);
      const mixed = (this.#word(i) & 0x80000000) | (next & 0x7fffffff);
      const odd = next & 1 ? 0x9908b0df : 0;
      this.#state[i] = this.#word((i + 397) % STATE_WORDS) ^ (mixed >>> 1) ^ odd;
    }
    this.#nextWord = 0;
  }

  #word(index: number): number {
    return this.#state[index] ?? 0;
  }
}

function checkCount(count: number): void {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`count must be a non-negative integer, got ${count}.`);
  }
}

/** 16 uniforms at `start` become 16 normals, in float32 steps as torch's AVX2 code takes them. */
function boxMullerChunk(values: Float32Array, start: number): void {
  for (let j = start; j < start + HALF_CHUNK; j++) {
    const u1 = 1 - (values[j] ?? 0); // in (0, 1], so that the logarithm is finite
    const u2 = values[j + HALF_CHUNK] ?? 0;
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(u1)))));
    const angle = Math.fround(TWO_PI_F32 * u2);
    values[j] = radius * Math.fround(Math.cos(angle));
    values[j + HALF_CHUNK] = radius * Math.fround(Math.sin(angle));
  }
}
