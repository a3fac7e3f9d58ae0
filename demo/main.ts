// The demo page: one loaded model, shared by the panels that use it.
import type { Model } from "web-umm";
import { AskPanel } from "./ask-panel.ts";
import { showDevice, showModel } from "./facts-panel.ts";
import { DrawPanel } from "./draw-panel.ts";
import { startModelPanel } from "./model-panel.ts";
import { startStoredPanel } from "./stored-panel.ts";

const ask = new AskPanel(showModel);
const draw = new DrawPanel({ onDone: showModel, onAsk: (picture) => ask.attach(picture) });
const stored = startStoredPanel();
const models = startModelPanel({
  onModel(model: Model | undefined, isEmbedded: boolean) {
    draw.use(model);
    ask.use(model, { remembers: !isEmbedded });
    showModel(model);
    stored.refresh();
  },
});
showModel(undefined);
void showDevice().then((device) => models.suggestBackend(device));
