// Ends the process when one run of a rig takes far too long: a loop that never yields cannot be stopped from its
// own thread. Runs as a worker thread of run.mjs.
import { workerData } from "node:worker_threads";

const { buffer, limitMs } = workerData;
const state = new BigInt64Array(buffer);

setInterval(() => {
  const [seed, startedAt] = [Number(state[0]), Number(state[1])];
  if (startedAt === 0 || Date.now() - startedAt < limitMs) return;
  console.error(`seed ${seed} has not ended after ${limitMs / 1000} s`);
  process.kill(process.pid, "SIGKILL");
}, 1000);
