/** Puts the page together. */

import { el } from "./dom";
import { Edits } from "./edits";
import { Files } from "./files";
import { Inputs } from "./inputs";
import { listenToKeys } from "./keyboard";
import { Notices } from "./notices";
import { forgetPalette } from "./palette";
import { Player } from "./player";
import { Previewer } from "./preview";
import { Renders } from "./renders";
import { about, units } from "./service";
import { Sources } from "./sources";
import { Stage } from "./stage";
import { Store } from "./store";
import { Takes } from "./takes";
import { TEXT } from "./text";
import { Timeline } from "./timeline";
import { applyTheme, TopBar } from "./topbar";

applyTheme();
document.title = TEXT.title;
const store = new Store();
const notices = new Notices(store);
const edits = new Edits(store);
const inputs = new Inputs(store, notices.report);
const renders = new Renders(store, notices.report);
const files = new Files(store, inputs, renders, notices.report);
const player = new Player(store);
const stage = new Stage(store, player);
const timeline = new Timeline(store, edits, (t) => player.seek(t));
const redraw = (): void => {
  forgetPalette();
  store.set({ envelope: store.state.envelope && { ...store.state.envelope } });
  timeline.later();
};
const top = new TopBar(store, files, inputs, renders, redraw);
new Previewer(store, (frame) => stage.showFrame(frame), (message) => stage.showError(message));
document.body.append(
  top.element,
  notices.bar,
  el("main", {}, el("div", { class: "upper" }, new Sources(store, inputs, notices.report).element, stage.element, new Takes(store, renders).element), timeline.element),
  el("div", { class: "veil", "aria-hidden": "true" }, TEXT.dropAnywhere),
  notices.element,
);
listenToKeys({ store, edits, files, player, renders, timeline, notices, help: top.help });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
window.addEventListener("error", (event) => notices.show(TEXT.internal(event.message), true));
window.addEventListener("unhandledrejection", (event) => notices.report(event.reason));

// A file dropped anywhere is taken for what it is.
let depth = 0;
document.addEventListener("dragenter", (event) => {
  if (event.dataTransfer?.types.includes("Files") && depth++ === 0) document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => {
  depth = Math.max(0, depth - 1);
  if (depth === 0) document.body.classList.remove("dropping");
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  document.body.classList.remove("dropping");
  void takeAll([...(event.dataTransfer?.files ?? [])]);
});

async function takeAll(dropped: readonly File[]): Promise<void> {
  for (const file of dropped) {
    if (file.name.endsWith(".auteur.json")) await files.open(file);
    else await inputs.take(file);
  }
}

async function start(): Promise<void> {
  await Promise.all([
    about().then(({ presets = [], voices = [] }) => store.set({ presets, voices }), notices.report),
    units().then((known) => store.set({ units: known }), notices.report),
  ]);
  const isBack = await files.reopen();
  if (!isBack && files.hasLast) notices.show(TEXT.restore, false, { text: TEXT.open, act: () => void files.openLast() });
}

void start();
