// Injected faults of a real HTTP server: imports of a published checkpoint and of a converted one, tried again
// until they come through. Whatever the server did, every stored byte is the right one.
import { ModelError } from "../../../src/base/errors.ts";
import { parseSource } from "../../../src/base/source-location.ts";
import type { FetchLike } from "../../../src/base/wire-fetch.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { installPacked, readPackedManifest } from "../../../src/weights/packed-model.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import type { FaultKind, FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";
import type { HubFiles } from "../../support/fake-hub.ts";
import { listingOf, REPOSITORY } from "../../support/fake-hub.ts";
import type { Failure, Rig, RigResult } from "../rig.ts";
import { runSeeds } from "../rig.ts";
import type { SimModel } from "../sim/models.ts";
import { makeModels, SIM_SHARD_BYTES } from "../sim/models.ts";
import { claim } from "../typed.ts";

/** What a client can notice whatever the file is. */
const ALWAYS: readonly FaultKind[] = [
  ...(["ignore-range", "ignore-range-chunked", "status", "truncate", "truncate-quietly"] as const),
  ...(["short-range", "wrong-content-range", "no-content-range", "long-body", "html"] as const),
  ...(["html-206", "lfs-pointer", "gzip", "gzip-cut", "stall", "reset", "multipart"] as const),
  ...(["lying-total", "bad-chunk", "half-head", "silence", "redirect", "empty", "etag"] as const),
];
/** Where Content-Range can be read. */
const PLAIN: readonly FaultKind[] = [...ALWAYS, "shifted"];
/** Where every byte has a hash, its own or that of the whole file: other bytes of the right number, too. */
const HASHED: readonly FaultKind[] = [...PLAIN, "flip"];

const STATUSES = [401, 403, 404, 408, 416, 425, 429, 500, 502, 503, 504];
const SPOILT = 0.35;
const ATTEMPTS = 60;
const IDLE_MS = 80;
/** An attempt makes some ten requests of five tries each. */
const DEADLINE_MS = 30_000;

/** Few answers are large there, and most flips in them change no quantized weight. */
const FLIPPING: readonly FaultKind[] = [...HASHED, ...Array.from(HASHED, () => "flip" as const)];

const KINDS = { published: PLAIN, converted: HASHED, "other origin": ALWAYS, hub: FLIPPING };
const MODES = ["published", "converted", "other origin", "hub"] as const;
type Mode = (typeof MODES)[number];

async function importOnce(
  server: FaultServer,
  model: SimModel,
  mode: Mode,
  store: WeightStore,
): Promise<Manifest> {
  const pause = async (): Promise<void> => undefined;
  const http = { attempts: 4, idleTimeoutMs: IDLE_MS, pause, hubUrl: server.url };
  const fetch = mode === "other origin" ? { fetch: hidden } : {};
  const place = mode === "hub" ? REPOSITORY : `${server.url}/${model.name}`;
  const source = await openSource(parseSource(place), { ...http, ...fetch });
  try {
    if (mode === "converted") {
      const manifest = await readPackedManifest(source, { key: "k", quantization: "q4" });
      return await installPacked({ manifest, source, store });
    }
    const { declarations } = model;
    const checkpoint = await openCheckpoint(source);
    const what = {
      key: "k",
      checkpoint,
      declarations,
      quantization: "q4",
      family: "tiny",
    } as const;
    return await importCheckpoint({ ...what, files: {}, store, shardBytes: SIM_SHARD_BYTES });
  } finally {
    source.close();
  }
}

// What a page sees of another origin that exposes no headers.
const hidden: FetchLike = async (url, init) => {
  const { status, body, headers } = await fetch(url, init);
  const safelisted = ["content-type", "last-modified"].filter((name) => headers.has(name));
  const shown = safelisted.map((name) => [name, headers.get(name) ?? ""] as [string, string]);
  return { status, body, type: "cors", headers: new Headers(shown) };
};

async function importUnderFaults(
  server: FaultServer,
  models: readonly SimModel[],
  seed: number,
): Promise<void> {
  const mode = MODES[seed % MODES.length] ?? "published";
  const name = { published: "first", converted: "packed", "other origin": "first", hub: "dense" };
  const model = models.find((candidate) => candidate.name === name[mode]);
  if (!model) throw new Error("no model");
  server.useRandom(seed, SPOILT, KINDS[mode], STATUSES);
  const rows = memoryKeyValue();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const started = performance.now();
    const store = new WeightStore(rows, "memory");
    try {
      const { shards } = await importOnce(server, model, mode, store);
      claim(
        JSON.stringify(shards) === JSON.stringify(model.versions[0]),
        "wrong bytes were stored",
      );
      const manifest = await store.readManifest("k");
      if (!manifest) throw new Error("nothing is installed");
      for await (const part of readTensors(store, manifest)) void part;
      return;
    } catch (error) {
      if (!ModelError.isModelError(error)) throw error;
      claim(performance.now() - started < DEADLINE_MS, `an attempt hangs: ${error.message}`);
    }
  }
  throw new Error(`${mode} did not come through in ${ATTEMPTS} attempts`);
}

// A model of the host once more, as a hub has it.
function asOnHub(files: HubFiles, name: string): HubFiles {
  const own = Object.entries(files).flatMap(([path, bytes]) =>
    path.startsWith(`/${name}/`) ? [[path.slice(name.length + 2), bytes] as const] : [],
  );
  const resolved = own.map(
    ([path, bytes]) => [`/${REPOSITORY}/resolve/main/${path}`, bytes] as const,
  );
  return {
    ...Object.fromEntries(resolved),
    [`/api/models/${REPOSITORY}/tree/main/`]: listingOf(Object.fromEntries(own)),
  };
}

async function run(count: number, seed: number): Promise<RigResult> {
  const { list, dense, files } = await makeModels();
  const models = [...list, dense];
  const server = await startFaultServer({ ...files, ...asOnHub(files, "dense") });
  const failures: Failure[] = [];
  const injected = (): number => [...server.injected.values()].reduce((sum, n) => sum + n, 0);
  let next = seed;
  try {
    while (injected() < count && failures.length < 20) {
      const one = { count: 1, seed: next++ };
      const result = await runSeeds(one, (value) => importUnderFaults(server, models, value));
      failures.push(...result.failures);
    }
  } finally {
    await server.close();
  }
  const seen = `${server.injected.size} kinds, ${next - seed} imports, ${server.requests.length} requests`;
  return { runs: injected(), failures, seen };
}

/** See the top of the file. */
export const rig: Rig = {
  name: "http",
  what: "injected HTTP faults",
  count: 2_000,
  slice: 80,
  allowed: "0 wrong bytes accepted",
  run,
};
