/** One lane: its name with switches on the left, its curve on the right. */

import { toPx, toSec } from "./axis";
import { button, el } from "./dom";
import { drawCurve, drawGrid, drawKeys, drawSamples, Scale } from "./drawing";
import type { Edits } from "./edits";
import { snapped } from "./edits";
import { between, move } from "./keys";
import { palette, prepared } from "./palette";
import type { LaneRow } from "./rows";
import { type LaneId, type Score, boundsOf, takesPart, keysOf, kindOf, shown, withKeys } from "./score";
import { type Store, durationOf } from "./store";
import { TEXT } from "./text";
import { renderedOf } from "./tracks";

const HEIGHT_PX = 38;
const EMOTION_PX = 30;
const TALL_PX = 120;
const CLICK_PX = 4;

type Gesture =
  | { readonly kind: "keys"; readonly before: Score; readonly indices: readonly number[]; readonly grabbed: number; readonly x: number; readonly y: number }
  | { readonly kind: "band"; readonly x: number; readonly kept: readonly number[]; moved: boolean };

/** What of a lane a person reads: 0.62, or 12.5°. */
export function valueText(lane: LaneId, value: number): string {
  return kindOf(lane) === "head" ? `${value.toFixed(1)}°` : value.toFixed(2);
}

export class LaneView {
  readonly element: HTMLElement;
  private readonly canvas = el("canvas");
  private readonly surface: HTMLElement;
  private readonly muteButton: HTMLButtonElement;
  private readonly soloButton: HTMLButtonElement;
  private gesture: Gesture | null = null;
  private bandTo = 0;

  constructor(
    private readonly store: Store,
    private readonly edits: Edits,
    readonly row: LaneRow,
    private readonly seek: (t: number) => void,
    private readonly say: (text: string, at: { x: number; y: number } | null) => void,
  ) {
    const { lane, label } = row;
    this.muteButton = button(TEXT.muteHint(label), () => edits.mute(lane), { text: "M", class: "switch" });
    this.soloButton = button(TEXT.soloHint(label), () => edits.solo(lane), { text: "S", class: "switch" });
    this.surface = el("div", { class: "surface", tabIndex: 0, role: "group", "data-lane": lane }, this.canvas);
    this.element = el(
      "div",
      { class: "row lane", "data-group": row.group },
      el("div", { class: "head" }, el("span", { class: "name", title: `${row.code} ${row.hint}`.trim() }, row.code ? el("b", {}, row.code) : null, row.label), this.switches()),
      this.surface,
    );
    this.listen();
    this.draw();
  }

  private switches(): HTMLElement {
    const { row, edits, store } = this;
    const tall = button(TEXT.enlarge(row.label), () => {
      const { tallLanes } = store.state;
      store.set({ tallLanes: tallLanes.includes(row.lane) ? tallLanes.filter((one) => one !== row.lane) : [...tallLanes, row.lane] });
    }, { icon: "tall", class: "switch" });
    const isPart = row.code !== row.unit;
    const apart = row.sides.length ? button(isPart ? TEXT.joinHint(row.unit) : TEXT.splitHint(row.unit), () => edits.split(row.unit, row.sides), { text: isPart ? "⇤" : "⇥", class: "switch" }) : null;
    return el("span", { class: "switches" }, apart, tall, this.muteButton, this.soloButton);
  }

  private get heightPx(): number {
    return this.store.state.tallLanes.includes(this.row.lane) ? TALL_PX : this.row.group === "emotion" ? EMOTION_PX : HEIGHT_PX;
  }

  private get scale(): Scale {
    return new Scale(boundsOf(this.row.lane, durationOf(this.store.state)), this.heightPx);
  }

  draw(): void {
    const { state } = this.store;
    const { lane, group } = this.row;
    const { axis, widthPx, score, selection } = state;
    const [scale, colours] = [this.scale, palette()];
    const context = prepared(this.canvas, widthPx, this.heightPx);
    const keys = keysOf(score, lane);
    const colour = colours.group[group] ?? colours.accent;
    drawGrid(context, axis, widthPx, scale);
    context.globalAlpha = takesPart(score, lane) ? 1 : 0.35;
    if (keys.some((key) => key.v !== 0)) drawCurve(context, shown(score, lane), axis, widthPx, scale, colour);
    context.globalAlpha = 1;
    const take = state.takes.find((one) => one.id === state.shown);
    const samples = take?.tracks && renderedOf(take.tracks.rendered, take.tracks.head, lane);
    if (samples) drawSamples(context, samples, axis, widthPx, scale);
    const selected = selection.lane === lane ? selection.indices : [];
    drawKeys(context, keys, selected, axis, widthPx, scale, colour);
    if (this.gesture?.kind === "band" && this.gesture.moved) {
      context.fillStyle = colours.accent;
      context.globalAlpha = 0.18;
      context.fillRect(Math.min(this.gesture.x, this.bandTo), 0, Math.abs(this.bandTo - this.gesture.x), this.heightPx);
      context.globalAlpha = 1;
    }
    this.muteButton.setAttribute("aria-pressed", String(score.muted.includes(lane)));
    this.soloButton.setAttribute("aria-pressed", String(score.solo.includes(lane)));
    this.surface.setAttribute("aria-label", TEXT.laneLabel(`${this.row.code} ${this.row.label}`.trim(), keys.length));
    this.element.classList.toggle("selected", selection.lane === lane);
  }

  private listen(): void {
    const { surface } = this;
    surface.addEventListener("focus", () => this.edits.focus(this.row.lane));
    surface.addEventListener("pointerdown", (event) => this.down(event));
    surface.addEventListener("pointermove", (event) => this.moved(event));
    surface.addEventListener("pointerup", (event) => this.up(event));
    surface.addEventListener("pointercancel", () => this.abandon());
    surface.addEventListener("dblclick", (event) => this.doubled(event));
    surface.addEventListener("pointerleave", () => this.gesture || this.say("", null));
    // A finger on a key drags it; beside keys it scrolls the lanes.
    surface.addEventListener("touchstart", (event) => {
      const [touch] = event.touches;
      const box = surface.getBoundingClientRect();
      if (touch && this.hit(touch.clientX - box.left, touch.clientY - box.top, 18) >= 0) event.preventDefault();
    }, { passive: false });
  }

  private place(event: MouseEvent): { x: number; y: number } {
    const box = this.surface.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** Index of the nearest key within some pixels, or -1. */
  private hit(x: number, y: number, within: number): number {
    const { axis, score } = this.store.state;
    let [best, distance] = [-1, within];
    keysOf(score, this.row.lane).forEach((key, i) => {
      const away = Math.hypot(toPx(axis, key.t) - x, this.scale.y(key.v) - y);
      if (away <= distance) [best, distance] = [i, away];
    });
    return best;
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return;
    const { x, y } = this.place(event);
    const { score, selection } = this.store.state;
    const { lane } = this.row;
    const grabbed = this.hit(x, y, event.pointerType === "touch" ? 18 : 9);
    this.surface.focus({ preventScroll: true });
    const chosen = selection.lane === lane ? selection.indices : [];
    if (grabbed < 0) {
      this.gesture = { kind: "band", x, kept: event.shiftKey ? chosen : [], moved: false };
    } else {
      const isChosen = chosen.includes(grabbed);
      const indices = event.shiftKey && !isChosen ? [...chosen, grabbed] : isChosen ? chosen : [grabbed];
      this.edits.select(lane, indices);
      this.gesture = { kind: "keys", before: score, indices, grabbed, x, y };
    }
    this.surface.setPointerCapture(event.pointerId);
  }

  private moved(event: PointerEvent): void {
    const { x, y } = this.place(event);
    if (!this.gesture) return this.hover(x, y, event);
    if (this.gesture.kind === "keys") return this.drag(this.gesture, x, y, event);
    if (Math.abs(x - this.gesture.x) > CLICK_PX && event.pointerType !== "touch") this.gesture.moved = true;
    if (!this.gesture.moved) return;
    this.bandTo = x;
    const { axis, score } = this.store.state;
    const inside = between(keysOf(score, this.row.lane), toSec(axis, this.gesture.x), toSec(axis, x));
    this.edits.select(this.row.lane, [...new Set([...this.gesture.kept, ...inside])].sort((a, b) => a - b));
    this.draw();
  }

  private hover(x: number, y: number, event: MouseEvent): void {
    const at = this.hit(x, y, 9);
    this.surface.classList.toggle("grabbable", at >= 0);
    const key = keysOf(this.store.state.score, this.row.lane)[at];
    this.say(key ? TEXT.keyLabel(this.row.label, key.t, valueText(this.row.lane, key.v)) : "", key ? { x: event.clientX, y: event.clientY } : null);
  }

  private drag(gesture: Gesture & { kind: "keys" }, x: number, y: number, event: PointerEvent): void {
    const { state } = this.store;
    const { lane } = this.row;
    const keys = keysOf(gesture.before, lane);
    const key = keys[gesture.grabbed]!;
    let [dx, dy] = [x - gesture.x, y - gesture.y];
    if (Math.hypot(dx, dy) < CLICK_PX && !state.isDragging) return;
    if (event.shiftKey) [dx, dy] = Math.abs(dx) > Math.abs(dy) ? [dx, 0] : [0, dy];
    let t = key.t + dx / state.axis.pxPerSec;
    if (dx !== 0 && state.isSnapping && !event.altKey) t = snapped(state, lane, t);
    const dv = this.scale.value(this.scale.y(key.v) + dy) - key.v;
    const moved = move(keys, gesture.indices, t - key.t, dv, boundsOf(lane, durationOf(state)));
    this.store.set({ score: withKeys(gesture.before, lane, moved), isDragging: true, shown: null, beside: null });
    const now = keysOf(this.store.state.score, lane)[gesture.grabbed]!;
    this.say(TEXT.keyLabel(this.row.label, now.t, valueText(lane, now.v)), { x: event.clientX, y: event.clientY });
  }

  private up(event: PointerEvent): void {
    const { gesture } = this;
    this.gesture = null;
    if (!gesture) return;
    if (gesture.kind === "keys") {
      if (this.store.state.isDragging) this.store.history.record(gesture.before);
      else if (event.altKey) this.edits.remove();
      this.store.set({ isDragging: false });
      this.say("", null);
    } else if (!gesture.moved) {
      this.edits.select(this.row.lane, []);
      this.seek(toSec(this.store.state.axis, gesture.x));
    }
    this.draw();
  }

  /** Takes a drag back that the system has ended, such as by a call on a phone. */
  private abandon(): void {
    if (this.gesture?.kind === "keys") this.store.set({ score: this.gesture.before, isDragging: false });
    this.gesture = null;
    this.draw();
  }

  private doubled(event: MouseEvent): void {
    const { x, y } = this.place(event);
    if (this.hit(x, y, 9) >= 0) return;
    const { state } = this.store;
    const t = toSec(state.axis, x);
    this.edits.add(this.row.lane, Math.round((state.isSnapping && !event.altKey ? snapped(state, this.row.lane, t) : t) * 1000) / 1000, this.scale.value(y));
  }
}
