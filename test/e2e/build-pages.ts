// Before the e2e ring: builds the demo once and tells the tests where it is.
import type { TestProject } from "vitest/node";
import { buildPage } from "../support/build-page.mjs";

declare module "vitest" {
  interface ProvidedContext {
    /** Folder of the built demo. */
    readonly demoFolder: string;
  }
}

/** Vitest calls this. */
export function setup(project: TestProject): void {
  project.provide("demoFolder", buildPage("demo"));
}
