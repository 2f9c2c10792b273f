/** The bar at the top: project, undo, draft, tables, render. */

import { button, el, menu } from "./dom";
import { helpDialog, settingsDialog } from "./dialogs";
import type { Files } from "./files";
import type { Inputs } from "./inputs";
import { forgetPalette } from "./palette";
import type { Renders } from "./renders";
import type { Store } from "./store";
import { TEXT } from "./text";
import { chooseFile } from "./dom";

const THEME = "auteur-theme";

/** Switches between light and dark; until then the system's choice counts. */
export function switchTheme(): void {
  const root = document.documentElement;
  const isDark = getComputedStyle(root).getPropertyValue("color-scheme").includes("dark");
  root.dataset["theme"] = isDark ? "light" : "dark";
  try {
    localStorage.setItem(THEME, root.dataset["theme"]);
  } catch {
    // The choice lasts until the page is left.
  }
  forgetPalette();
}

export function applyTheme(): void {
  const chosen = localStorage.getItem(THEME);
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset["theme"] = chosen;
}

export class TopBar {
  readonly element: HTMLElement;
  readonly help = helpDialog();
  private readonly settings: HTMLDialogElement;

  constructor(
    store: Store,
    files: Files,
    inputs: Inputs,
    renders: Renders,
    redraw: () => void,
  ) {
    this.settings = settingsDialog(store);
    const name = el("input", { class: "project-name", "aria-label": TEXT.projectName, placeholder: TEXT.untitled, maxLength: 80, id: "project-name" });
    name.addEventListener("change", () => store.set({ name: name.value.trim() }));
    store.on(["name"], (state) => (name.value = state.name));
    const undo = button(TEXT.undo, () => store.undo(), { icon: "undo", id: "undo" });
    const redo = button(TEXT.redo, () => store.redo(), { icon: "redo", id: "redo" });
    const history = (): void => {
      undo.disabled = !store.history.canUndo;
      redo.disabled = !store.history.canRedo;
    };
    store.on(["score", "selection", "isDragging"], history);
    history();
    const draft = menu(TEXT.draft, () => [
      { text: TEXT.draftUnits, act: () => inputs.draftUnits() },
      { text: TEXT.draftEmotion, act: () => inputs.draftEmotion() },
    ], "draft");
    store.on(["analysis"], ({ analysis }) => ((draft.firstElementChild as HTMLButtonElement).disabled = !analysis));
    (draft.firstElementChild as HTMLButtonElement).disabled = true;
    const tables = menu(TEXT.export, () => Object.entries(TEXT.exportFormats).map(([to, text]) => ({ text, act: () => void files.export(to) })), "export");
    const render = button(TEXT.render, () => void renders.start(), { text: TEXT.render, class: "primary", id: "render" });
    store.on(["portrait"], ({ portrait }) => (render.disabled = !portrait));
    render.disabled = true;
    this.element = el(
      "header",
      { class: "top" },
      el("span", { class: "brand" }, TEXT.title),
      name,
      button(TEXT.newProject, () => files.startAnew(), { text: TEXT.newProject, id: "new" }),
      button(TEXT.open, () => files.choose(), { text: TEXT.open, id: "open" }),
      button(TEXT.save, () => void files.save(), { text: TEXT.save, id: "save" }),
      el("span", { class: "rule" }),
      undo,
      redo,
      el("span", { class: "rule" }),
      draft,
      button(TEXT.import, () => chooseFile(".csv,.json,video/*", (file) => void inputs.usePerformance(file)), { text: TEXT.import, id: "import" }),
      tables,
      el("span", { class: "gap" }),
      button(TEXT.help, () => this.help.showModal(), { icon: "help", id: "show-help" }),
      button(TEXT.theme, () => (switchTheme(), redraw()), { icon: "theme", id: "theme" }),
      button(TEXT.settings, () => this.settings.showModal(), { icon: "settings", id: "show-settings" }),
      render,
    );
  }
}
