// The version of this library, as it is written into files that it makes.

/** As in package.json; a test compares them. */
export const VERSION = "0.1.0";
