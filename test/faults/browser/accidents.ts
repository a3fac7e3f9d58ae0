// What a page can make happen to its engine worker.

/** lose: the device is destroyed; block: the thread never answers again; crash: nobody catches an exception. */
export type Accident = "lose" | "block" | "crash";

/** Name of the BroadcastChannel that carries an {@link Accident} to every engine of this origin. */
export const ACCIDENTS_CHANNEL = "web-umm-accidents";
