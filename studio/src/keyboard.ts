/** What keys do (`TEXT.keys` lists them). */

import { bounded } from "./axis";
import { FRAME_SEC, type Edits } from "./edits";
import type { Files } from "./files";
import { valueText } from "./lane";
import type { Notices } from "./notices";
import type { Player } from "./player";
import type { Renders } from "./renders";
import { boundsOf, keysOf, nameOf } from "./score";
import { type Store, durationOf } from "./store";
import { TEXT } from "./text";
import type { Timeline } from "./timeline";

export interface Parts {
  readonly store: Store;
  readonly edits: Edits;
  readonly files: Files;
  readonly player: Player;
  readonly renders: Renders;
  readonly timeline: Timeline;
  readonly notices: Notices;
  readonly help: HTMLDialogElement;
}

/** Fields and lists keep their keys. */
function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) && (target as HTMLInputElement).type !== "checkbox";
}

export function listenToKeys(parts: Parts): void {
  document.addEventListener("keydown", (event) => {
    const isOfPage = (event.ctrlKey || event.metaKey) && ["s", "o", "enter"].includes(event.key.toLowerCase());
    if ((isTyping(event.target) && !isOfPage) || document.querySelector("dialog[open]")) return;
    const act = event.ctrlKey || event.metaKey ? withControl(parts, event) : plain(parts, event);
    if (!act) return;
    event.preventDefault();
    act();
    announce(parts);
  });
}

function withControl({ store, edits, files, renders, notices }: Parts, event: KeyboardEvent): (() => unknown) | null {
  switch (event.key.toLowerCase()) {
    case "z":
      return () => (event.shiftKey ? store.redo() : store.undo());
    case "y":
      return () => store.redo();
    case "s":
      return () => files.save();
    case "o":
      return () => files.choose();
    case "enter":
      return () => renders.start();
    case "a":
      return store.state.selection.lane ? () => edits.selectAll() : null;
    case "c":
      return window.getSelection()?.toString() ? null : () => notices.show(TEXT.copied(edits.copy()));
    case "x":
      return () => notices.show(TEXT.copied(edits.cut()));
    case "v":
      return () => edits.paste();
    default:
      return null;
  }
}

function plain(parts: Parts, event: KeyboardEvent): (() => unknown) | null {
  const { store, edits, player, timeline, help } = parts;
  const { lane, indices } = store.state.selection;
  const onButton = event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement;
  switch (event.key) {
    case " ":
      return onButton ? null : () => player.toggle();
    case "Home":
      return () => player.seek(0);
    case "End":
      return () => player.seek(durationOf(store.state));
    case "k":
    case "K":
      return () => edits.addAtPlayhead();
    case "Delete":
    case "Backspace":
      return () => edits.remove();
    case "Escape":
      return lane ? () => edits.select(lane, []) : null;
    case "m":
    case "M":
      return lane ? () => edits.mute(lane) : null;
    case "s":
    case "S":
      return lane ? () => edits.solo(lane) : null;
    case "[":
      return () => edits.step(-1);
    case "]":
      return () => edits.step(1);
    case "+":
    case "=":
      return () => timeline.zoom(1.5);
    case "-":
      return () => timeline.zoom(1 / 1.5);
    case "0":
      return () => timeline.fit();
    case "?":
      return () => help.showModal();
    case "/":
      return () => document.getElementById("search")?.focus();
  }
  return arrows(parts, event, indices.length > 0);
}

function arrows({ store, edits, player }: Parts, event: KeyboardEvent, isSelected: boolean): (() => unknown) | null {
  const [across, up] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
  if (!across && !up) return null;
  const { selection, timeSec, axis, widthPx } = store.state;
  const large = event.shiftKey ? 10 : 1;
  if (isSelected && selection.lane) {
    const { low, high } = boundsOf(selection.lane, 1);
    const step = high - low > 10 ? 0.5 : 0.01;
    return () => edits.nudge(across! * FRAME_SEC * large, up! * step * large);
  }
  if (!across) return null;
  return () => {
    player.seek(timeSec + across * FRAME_SEC * large);
    const now = store.state.timeSec;
    const end = axis.startSec + widthPx / axis.pxPerSec;
    if (now < axis.startSec || now > end) store.set({ axis: bounded({ ...axis, startSec: now }, durationOf(store.state), widthPx) });
  };
}

/** Reads the selected key out. */
function announce({ store, timeline }: Parts): void {
  const { lane, indices } = store.state.selection;
  const key = lane && indices.length === 1 ? keysOf(store.state.score, lane)[indices[0]!] : null;
  if (lane && key) timeline.announce(TEXT.keyLabel(TEXT.lanes[lane] ?? nameOf(lane), key.t, valueText(lane, key.v)));
}
