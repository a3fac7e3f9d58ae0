// Whether a disturbed drawing is the undisturbed one.

/**
 * @typedef {import("./page.ts").DrawReport} DrawReport
 * @param {DrawReport | { error: string } | undefined} report
 * @param {DrawReport | undefined} undisturbed
 * @returns {string | undefined} what is wrong
 */
export function checkDrawing(report, undisturbed) {
  if (report === undefined || undisturbed?.hash === undefined) return "nothing was drawn";
  if (report.error !== undefined) return `rejected: ${report.error}`;
  if (!("hash" in report)) return "nothing was drawn";
  if (report.told.join() !== undisturbed.told.join()) {
    return `told ${report.told.join()} and not ${undisturbed.told.join()}`;
  }
  return report.hash === undisturbed.hash ? undefined : "another picture";
}
