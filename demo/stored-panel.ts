// Models that this browser keeps, and deleting them.
import { cache } from "web-umm";
import type { CachedModel } from "web-umm";
import { button, create, find, showText } from "./elements.ts";
import { bytes, describeError } from "./format.ts";

const panel = find("details", "stored");
const list = find("ul", "stored-list");
const usageText = find("p", "stored-usage");
const errorText = find("p", "stored-error");

/** What the rest of the page does with this panel. */
export interface StoredPanel {
  /** Shows what is stored now, if anyone looks. */
  refresh(): void;
}

/** Connects the panel; the store is asked when the panel is opened. */
export function startStoredPanel(): StoredPanel {
  const refresh = (): void => {
    if (panel.open) void show();
  };
  panel.addEventListener("toggle", refresh);
  return { refresh };
}

async function show(): Promise<void> {
  showText(errorText, "");
  try {
    const [models, usage] = await Promise.all([cache.list(), cache.usage()]);
    const nothing = create("li", { className: "note", text: "Nothing is stored." });
    list.replaceChildren(...(models.length > 0 ? models.map(row) : [nothing]));
    usageText.textContent = `${bytes(usage.modelBytes)} of models; the browser allows ${bytes(usage.quotaBytes)} in all.`;
  } catch (error) {
    showText(errorText, describeError(error));
  }
}

function row(model: CachedModel): HTMLLIElement {
  const { id, family, quantization, storedBytes, storedAt } = model;
  const facts = `${family} · ${quantization} · ${bytes(storedBytes)} · ${new Date(storedAt).toLocaleDateString()}`;
  const remove = button("Delete", () => void removeModel(model), "quiet");
  remove.setAttribute("aria-label", `Delete ${id}, ${quantization}`);
  return create(
    "li",
    { className: "between" },
    create(
      "span",
      {},
      create("strong", { text: id }),
      create("span", { className: "note", text: facts }),
    ),
    remove,
  );
}

async function removeModel({ key }: CachedModel): Promise<void> {
  try {
    await cache.delete(key);
    await show();
    panel.querySelector("summary")?.focus();
  } catch (error) {
    showText(errorText, describeError(error));
  }
}
