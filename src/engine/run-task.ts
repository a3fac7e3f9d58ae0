// One line per task: which loop does what was asked.
import { fail } from "../base/errors.ts";
import type { RunEvent, TaskResult } from "../base/events.ts";
import type { TaskRequest } from "../base/requests.ts";
import type { Stages } from "../models/family.ts";
import { generateImage } from "../tasks/generate-image.ts";
import { generateText } from "../tasks/generate-text.ts";

/** The events of the asked task, and at the end its result. @throws ModelError unsupported-model */
export function runTask(
  stages: Stages,
  task: TaskRequest,
  signal: AbortSignal,
): AsyncGenerator<RunEvent, TaskResult, undefined> {
  switch (task.task) {
    case "generateText":
      return generateText(stages, task.request, signal);
    case "generateImage":
      return generateImage(stages, task.request, signal);
    case "editImage":
    case "converse":
      throw fail("unsupported-model", `No family of this build does ${task.task}.`);
    default:
      return task satisfies never;
  }
}
