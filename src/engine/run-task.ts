// One line per task: which loop does what was asked.
import type { RunEvent, TaskResult } from "../base/events.ts";
import type { TaskRequest } from "../base/requests.ts";
import type { Stages } from "../models/family.ts";
import { converse } from "../tasks/converse.ts";
import { drawImages } from "../tasks/draw-images.ts";
import { generateText } from "../tasks/generate-text.ts";

/** The events of the asked task, and at the end its result. */
export function runTask(
  stages: Stages,
  task: TaskRequest,
  signal: AbortSignal,
): AsyncGenerator<RunEvent, TaskResult, undefined> {
  switch (task.task) {
    case "generateText":
      return generateText(stages, task.request, signal);
    case "generateImage":
      return drawImages(stages, { ...task.request, images: [] }, signal);
    case "editImage":
      return drawImages(stages, task.request, signal);
    case "converse":
      return converse(stages, task.request, signal);
    default:
      return task satisfies never;
  }
}
