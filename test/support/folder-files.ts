// A folder on disk as the list of files that a page gets from a folder picker.
import { readdirSync, readFileSync, statSync } from "node:fs";

/** Every file below the folder, named by its path inside it. */
export function folderFiles(folder: URL, prefix = ""): File[] {
  return readdirSync(folder).flatMap((name) => {
    const url = new URL(name, folder);
    if (statSync(url).isDirectory()) {
      return folderFiles(new URL(`${name}/`, folder), `${prefix}${name}/`);
    }
    const file = new File([readFileSync(url)], name);
    Object.defineProperty(file, "webkitRelativePath", { value: `checkpoint/${prefix}${name}` });
    return [file];
  });
}
