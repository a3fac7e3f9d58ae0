// Parts of the library that are fetched when they are needed. Layer 0: knows neither the parts nor the network.
import { fail } from "./errors.ts";

/**
 * What a dynamic import gives.
 *
 * @param name - the part, for people
 * @throws ModelError download-failed with `details.part`: offline, or a new version of the page was deployed and the
 * files of this one are gone. The browser's own TypeError would read as a caller's mistake
 */
export async function importPart<Part>(name: string, load: () => Promise<Part>): Promise<Part> {
  try {
    return await load();
  } catch (cause) {
    const seen = cause instanceof Error ? cause.message : String(cause);
    throw fail(
      "download-failed",
      `A part of the library (${name}) could not be loaded: ${seen} Check the connection and load the model again; ` +
        "if that does not help, reload the page: it may have been updated on its server meanwhile.",
      { part: name },
      cause,
    );
  }
}
