// Where a picture of the user's is dropped, pasted or chosen, and shown.
import { paintBitmap } from "./canvas.ts";
import { find } from "./elements.ts";

const dropZone = find("div", "drop-zone");
const canvas = find("canvas", "asked-picture");
const hint = find("span", "drop-hint");
const fileInput = find("input", "picture-file");
const removeButton = find("button", "remove-picture");

interface PictureWellOptions {
  /** The picture is another one now, or none. */
  readonly onChange: () => void;
  /** Told why a file cannot be shown; "" when there is nothing wrong. */
  readonly onError: (text: string) => void;
}

/** Holds one picture. */
export class PictureWell {
  readonly #options: PictureWellOptions;
  #picture: ImageBitmap | undefined;

  constructor(options: PictureWellOptions) {
    this.#options = options;
    removeButton.addEventListener("click", () => {
      this.#show(undefined);
      fileInput.focus();
    });
    fileInput.addEventListener("change", () => {
      this.#takeFirst(fileInput.files);
      fileInput.value = "";
    });
    document.addEventListener("paste", (event) => this.#takeFirst(event.clipboardData?.files));
    this.#listenForDrops();
  }

  /** The picture that is shown. */
  get picture(): ImageBitmap | undefined {
    return this.#picture;
  }

  set isEnabled(isEnabled: boolean) {
    fileInput.disabled = !isEnabled;
  }

  /** Shows a picture, in place of the one before. */
  async take(source: ImageBitmapSource): Promise<void> {
    this.#options.onError("");
    try {
      this.#show(await createImageBitmap(source));
    } catch {
      this.#options.onError("That is no picture this browser can read.");
    }
  }

  #show(picture: ImageBitmap | undefined): void {
    this.#picture = picture;
    if (picture) paintBitmap(canvas, picture);
    canvas.hidden = !picture;
    removeButton.hidden = !picture;
    hint.textContent = picture
      ? "Drop or paste another picture, or"
      : "Drop or paste a picture, or";
    this.#options.onChange();
  }

  #takeFirst(files: FileList | null | undefined): void {
    const file = [...(files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file && !fileInput.disabled) void this.take(file);
  }

  #listenForDrops(): void {
    for (const name of ["dragenter", "dragover"] as const) {
      dropZone.addEventListener(name, (event) => {
        event.preventDefault();
        dropZone.classList.add("over");
      });
    }
    dropZone.addEventListener("dragleave", () => dropZone.classList.remove("over"));
    dropZone.addEventListener("drop", (event) => {
      event.preventDefault();
      dropZone.classList.remove("over");
      this.#takeFirst(event.dataTransfer?.files);
    });
  }
}
