// Where a picture of the user's is dropped, pasted or chosen, and shown.
import { paintBitmap } from "./canvas.ts";
import { find } from "./elements.ts";

interface PictureWellOptions {
  /** Start of the ids of its elements in index.html: `<name>-drop-zone`, and so on. */
  readonly name: string;
  /** Pictures that are pasted in here are its own. */
  readonly pasteArea: Document | HTMLElement;
  /** The picture is another one now, or none. */
  readonly onChange: () => void;
  /** Told why a file cannot be shown; "" when there is nothing wrong. */
  readonly onError: (text: string) => void;
}

/** Holds one picture. */
export class PictureWell {
  readonly #options: PictureWellOptions;
  readonly #dropZone: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #hint: HTMLElement;
  readonly #fileInput: HTMLInputElement;
  readonly #removeButton: HTMLButtonElement;
  #picture: ImageBitmap | undefined;

  constructor(options: PictureWellOptions) {
    const { name, pasteArea } = options;
    this.#options = options;
    this.#dropZone = find("div", `${name}-drop-zone`);
    this.#canvas = find("canvas", `${name}-picture`);
    this.#hint = find("span", `${name}-drop-hint`);
    this.#fileInput = find("input", `${name}-picture-file`);
    this.#removeButton = find("button", `${name}-remove-picture`);
    this.#removeButton.addEventListener("click", () => {
      this.clear();
      this.#fileInput.focus();
    });
    this.#fileInput.addEventListener("change", () => {
      this.#takeFirst(this.#fileInput.files);
      this.#fileInput.value = "";
    });
    pasteArea.addEventListener("paste", (event) => {
      if (!(event instanceof ClipboardEvent) || event.defaultPrevented) return;
      if (this.#takeFirst(event.clipboardData?.files)) event.preventDefault();
    });
    this.#listenForDrops();
  }

  /** The picture that is shown. */
  get picture(): ImageBitmap | undefined {
    return this.#picture;
  }

  set isEnabled(isEnabled: boolean) {
    this.#fileInput.disabled = !isEnabled;
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

  /** Shows none. */
  clear(): void {
    this.#show(undefined);
  }

  #show(picture: ImageBitmap | undefined): void {
    this.#picture = picture;
    if (picture) paintBitmap(this.#canvas, picture);
    this.#canvas.hidden = !picture;
    this.#removeButton.hidden = !picture;
    this.#hint.textContent = picture
      ? "Drop or paste another picture, or"
      : "Drop or paste a picture, or";
    this.#options.onChange();
  }

  /** True when there was a picture among them, and the well is open. */
  #takeFirst(files: FileList | null | undefined): boolean {
    const file = [...(files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (!file || this.#fileInput.disabled) return false;
    void this.take(file);
    return true;
  }

  #listenForDrops(): void {
    const dropZone = this.#dropZone;
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
