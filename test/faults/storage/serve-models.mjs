// A server of models made up of many tensors of one size, which counts what is fetched of their weights.
import { buildPage } from "../../support/build-page.mjs";
import { startStaticServer } from "../../support/static-server.mjs";

const ROWS = 512;
const COLUMNS = 128;
/** Bytes of one tensor: what a connection brings at a time. */
export const TENSOR_BYTES = ROWS * COLUMNS * 2;
/** Of the one shard that a tensor becomes in q8: a byte for a weight, and two for the scale of 32. */
export const SHARD_BYTES = ROWS * COLUMNS + (ROWS * COLUMNS * 2) / 32;
/** Between two tensors, so that no two share a request: four bytes each, more than what is cheaper to fetch than to skip. */
const GAP = 20_000;
/** Requests that an import has open at a time. */
export const CONNECTIONS = 3;

/** The build is made once for all rigs of a process. @type {string | undefined} */
let built;

/**
 * @typedef {object} ModelServer
 * @property {string} url - of the page
 * @property {() => number} fetchedTensors - tensors sent so far, whether they arrived or not
 * @property {() => Promise<void>} close
 */

/**
 * @param {Readonly<Record<string, number>>} models - tensors of each model by its name; names that differ hold different weights
 * @param {{ delayMs?: number }} [options] - of each answer
 * @returns {Promise<ModelServer>}
 */
export async function serveModels(models, { delayMs = 4 } = {}) {
  built ??= buildPage("storage");
  const files = new Map(
    Object.entries(models).map(([name, tensors], index) => [name, checkpoint(tensors, index + 1)]),
  );
  let fetched = 0;
  const server = await startStaticServer({
    folders: { "/": built },
    async intercept(request, response) {
      const [, name = ""] = /^\/models\/(\w+)\/model\.safetensors$/.exec(request.url ?? "") ?? [];
      const file = files.get(name);
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
      if (file === undefined || first === undefined) return false;
      const [start, end] = [Number(first), Math.min(Number(last) + 1, file.length)];
      // The header is asked for in pieces of the same size, from the beginning of the file.
      if (start > 0 && end - start === TENSOR_BYTES) fetched++;
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      response.writeHead(206, {
        "Content-Length": end - start,
        "Content-Range": `bytes ${start}-${end - 1}/${file.length}`,
        ETag: `"${name}"`,
      });
      response.end(file.subarray(start, end));
      return true;
    },
  });
  return { url: server.url, fetchedTensors: () => fetched, close: server.close };
}

/** A safetensors file of bfloat16 weights between 2^-8 and 1. @param {number} tensors @param {number} seed */
function checkpoint(tensors, seed) {
  /** @type {Record<string, object>} */
  const entries = {};
  let offset = 0;
  const place = (
    /** @type {string} */ dtype,
    /** @type {number[]} */ shape,
    /** @type {number} */ bytes,
  ) => {
    const data_offsets = [offset, (offset += bytes)];
    return { dtype, shape, data_offsets };
  };
  for (let n = 0; n < tensors; n++) {
    entries[`weight.${n}`] = place("BF16", [ROWS, COLUMNS], TENSOR_BYTES);
    entries[`gap.${n}`] = place("F32", [GAP], 4 * GAP);
  }
  const header = Buffer.from(JSON.stringify(entries));
  const file = Buffer.alloc(8 + header.length + offset);
  file.writeBigUInt64LE(BigInt(header.length));
  header.copy(file, 8);
  let state = seed;
  for (let n = 0; n < tensors; n++) {
    const start = 8 + header.length + n * (TENSOR_BYTES + 4 * GAP);
    for (let at = start; at < start + TENSOR_BYTES; at += 2) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      file.writeUInt16LE(((state >>> 31) << 15) | (0x3b80 + ((state >>> 16) & 0x3ff)), at);
    }
  }
  return file;
}
