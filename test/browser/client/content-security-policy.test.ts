// A policy cannot be taken back: this test has a page of its own.
import { expect, test } from "vitest";
import { WorkerHandle } from "../../../src/client/worker-handle.ts";

test("WorkerHandle.start names the policy that blocks its worker", async () => {
  const policy = document.createElement("meta");
  policy.httpEquiv = "Content-Security-Policy";
  policy.content = "worker-src 'none'";
  document.head.append(policy);
  const spawn = (): Worker => new Worker("/worker.js", { type: "module" });
  const starting = WorkerHandle.start({ name: "loader", deathCode: "storage-unavailable", spawn });
  await expect(starting).rejects.toMatchObject({
    code: "download-failed",
    message: expect.stringMatching(/Content-Security-Policy.*worker-src/),
  });
});
