/** The timeline: ruler, waveform and lanes on one time axis. */

import { MARGIN_PX, bounded, clock, ticks, toPx, toSec, whole, zoomed } from "./axis";
import { button, el } from "./dom";
import { drawCurve, Scale } from "./drawing";
import type { Edits } from "./edits";
import { LaneView } from "./lane";
import { palette, prepared } from "./palette";
import { type GroupRow, type Row, rowsOf } from "./rows";
import { boundsOf, takesPart, keysOf, shown } from "./score";
import { type Store, durationOf } from "./store";
import { TEXT } from "./text";
import { Wave } from "./wave";

const RULER_PX = 24;
const GROUP_PX = 26;

class GroupView {
  readonly element: HTMLElement;
  private readonly canvas = el("canvas");

  constructor(
    private readonly store: Store,
    readonly row: GroupRow,
    seek: (t: number) => void,
  ) {
    const name = TEXT.groups[row.group] ?? row.group;
    const opener = el(
      "button",
      { type: "button", class: "head opener", "aria-expanded": String(row.isOpen), "data-group-name": row.group, onclick: () => this.toggle() },
      el("span", { class: "arrow", "aria-hidden": "true" }, row.isOpen ? "▾" : "▸"),
      el("span", { class: "dot" }),
      name,
      row.used ? el("span", { class: "count" }, String(row.used)) : null,
    );
    const surface = el("div", { class: "surface", onclick: (event: MouseEvent) => seek(toSec(store.state.axis, event.offsetX)) }, this.canvas);
    this.element = el("div", { class: "row group", "data-group": row.group }, opener, surface);
    this.draw();
  }

  private toggle(): void {
    const { openGroups } = this.store.state;
    const { group } = this.row;
    this.store.set({ openGroups: openGroups.includes(group) ? openGroups.filter((one) => one !== group) : [...openGroups, group] });
  }

  draw(): void {
    const { score, axis, widthPx } = this.store.state;
    const context = prepared(this.canvas, widthPx, GROUP_PX);
    if (this.row.isOpen) return;
    const colour = palette().group[this.row.group] ?? palette().accent;
    for (const lane of this.row.lanes) {
      if (!keysOf(score, lane).some((key) => key.v !== 0) || !takesPart(score, lane)) continue;
      context.globalAlpha = 0.7;
      drawCurve(context, shown(score, lane), axis, widthPx, new Scale(boundsOf(lane, durationOf(this.store.state)), GROUP_PX), colour);
    }
    context.globalAlpha = 1;
  }
}

type View = LaneView | GroupView;

export class Timeline {
  readonly element: HTMLElement;
  private readonly ruler = el("canvas");
  private readonly rulerBox = el("div", { class: "surface ruler", "data-ruler": "" }, this.ruler);
  private readonly rows = el("div", { class: "rows" });
  private readonly body: HTMLElement;
  private readonly playhead = el("div", { class: "playhead", "aria-hidden": "true" });
  private readonly spacer = el("div");
  private readonly scrollbar = el("div", { class: "scrollbar", tabIndex: -1 }, this.spacer);
  private readonly bubble = el("div", { class: "bubble", hidden: true });
  private readonly spoken = el("div", { class: "spoken", "aria-live": "polite" });
  private readonly clock = el("div", { class: "head clock" });
  private readonly wave: Wave;
  private views: View[] = [];
  private layout = "";
  private isDrawn = true;

  constructor(
    private readonly store: Store,
    private readonly edits: Edits,
    private readonly seek: (t: number) => void,
  ) {
    this.wave = new Wave(store, seek);
    this.body = el("div", { class: "body" }, el("div", { class: "row axis" }, this.clock, this.rulerBox), this.wave.element, this.rows, this.playhead);
    this.element = el("section", { class: "timeline", "aria-label": TEXT.timeline }, this.toolbar(), this.body, this.scrollbar, this.bubble, this.spoken);
    this.listen();
    this.build();
  }

  private toolbar(): HTMLElement {
    const { store, edits } = this;
    const search = el("input", { type: "search", class: "search", placeholder: TEXT.search, "aria-label": TEXT.search, id: "search" });
    search.addEventListener("input", () => store.set({ search: search.value }));
    store.on(["search"], (state) => search.value === state.search || (search.value = state.search));
    const check = (label: string, key: "isSnapping" | "isOnlyUsed"): HTMLElement => {
      const box = el("input", { type: "checkbox", checked: store.state[key] });
      box.addEventListener("change", () => store.set({ [key]: box.checked }));
      store.on([key], (state) => (box.checked = state[key]));
      return el("label", { class: "check" }, box, label);
    };
    const legend = el("span", { class: "legend", hidden: true }, el("i"), el("span", {}, TEXT.requested), el("i"), el("span", {}, TEXT.rendered));
    store.on(["shown", "takes"], ({ takes, shown }) => (legend.hidden = !takes.some((take) => take.id === shown && take.tracks)));
    const count = el("span", { class: "chosen" });
    store.on(["selection"], ({ selection }) => (count.textContent = selection.indices.length ? TEXT.keyCount(selection.indices.length) : ""));
    return el(
      "div",
      { class: "tools", role: "toolbar", "aria-label": TEXT.timeline },
      search,
      check(TEXT.onlyUsed, "isOnlyUsed"),
      check(TEXT.snap, "isSnapping"),
      legend,
      el("span", { class: "gap" }),
      count,
      button(TEXT.addKey, () => edits.addAtPlayhead(), { icon: "plus" }),
      button(TEXT.removeKeys, () => edits.remove(), { icon: "bin" }),
      button(TEXT.smooth, () => edits.smooth(), { text: TEXT.smooth }),
      button(TEXT.scaleDown, () => edits.scale(0.8), { text: "× 0.8" }),
      button(TEXT.scaleUp, () => edits.scale(1.25), { text: "× 1.25" }),
      el("span", { class: "gap small" }),
      button(TEXT.zoomOut, () => this.zoom(1 / 1.5), { text: "−" }),
      button(TEXT.zoomIn, () => this.zoom(1.5), { text: "+" }),
      button(TEXT.fitAll, () => this.fit(), { text: TEXT.fitAll }),
    );
  }

  private listen(): void {
    const { store } = this;
    store.on(["openGroups", "search", "isOnlyUsed", "splitUnits", "units", "tallLanes", "score"], () => this.build());
    store.on(["score", "selection", "axis", "widthPx", "takes", "shown"], () => this.later());
    store.on(["axis", "widthPx", "timeSec"], () => this.movePlayhead());
    store.on(["speech", "score"], (state, before) => {
      if (durationOf(state) !== durationOf(before)) this.fit();
    });
    new ResizeObserver(() => this.resized()).observe(this.body);
    this.body.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.scrollbar.addEventListener("scroll", () => {
      const { axis, widthPx } = store.state;
      const startSec = (this.scrollbar.scrollLeft - MARGIN_PX) / axis.pxPerSec;
      if (Math.abs(startSec - axis.startSec) * axis.pxPerSec > 1) store.set({ axis: bounded({ ...axis, startSec }, durationOf(store.state), widthPx) });
    });
    const scrub = (event: PointerEvent): void => this.seek(toSec(store.state.axis, event.clientX - this.rulerBox.getBoundingClientRect().left));
    this.rulerBox.addEventListener("pointerdown", (event) => (this.rulerBox.setPointerCapture(event.pointerId), scrub(event)));
    this.rulerBox.addEventListener("pointermove", (event) => event.buttons && scrub(event));
  }

  private resized(): void {
    const head = this.clock.offsetWidth;
    const widthPx = Math.max(80, this.rows.clientWidth - head);
    const { state } = this.store;
    const isWhole = Math.abs(state.axis.pxPerSec - whole(durationOf(state), state.widthPx).pxPerSec) < 0.01;
    const axis = isWhole ? whole(durationOf(state), widthPx) : bounded(state.axis, durationOf(state), widthPx);
    if (widthPx !== state.widthPx) this.store.set({ widthPx, axis });
    this.later();
    this.movePlayhead();
  }

  fit(): void {
    const { state } = this.store;
    this.store.set({ axis: whole(durationOf(state), state.widthPx) });
  }

  /** Zooms about the playhead, where it is visible, or the middle. */
  zoom(factor: number, atPx?: number): void {
    const { axis, widthPx, timeSec } = this.store.state;
    const playhead = toPx(axis, timeSec);
    const about = atPx ?? (playhead >= 0 && playhead <= widthPx ? playhead : widthPx / 2);
    this.store.set({ axis: zoomed(axis, factor, about, durationOf(this.store.state), widthPx) });
  }

  private wheel(event: WheelEvent): void {
    const { state } = this.store;
    if (event.ctrlKey || event.metaKey) {
      this.zoom(Math.exp(-event.deltaY / 300), event.clientX - this.rulerBox.getBoundingClientRect().left);
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const px = event.deltaX || event.deltaY;
      this.store.set({ axis: bounded({ ...state.axis, startSec: state.axis.startSec + px / state.axis.pxPerSec }, durationOf(state), state.widthPx) });
    } else return;
    event.preventDefault();
  }

  private build(): void {
    const rows = rowsOf(this.store.state);
    const layout = JSON.stringify([rows, this.store.state.tallLanes]);
    if (layout === this.layout) return;
    this.layout = layout;
    const focused = (document.activeElement as HTMLElement | null)?.dataset["lane"];
    const kept = new Map(this.views.map((view) => [JSON.stringify(view.row), view]));
    this.views = rows.map((row) => kept.get(JSON.stringify(row)) ?? this.view(row));
    const empty = this.views.length ? [] : [el("p", { class: "none" }, TEXT.noLanes)];
    const wanted = [...this.views.map((view) => view.element), ...empty];
    wanted.forEach((element, i) => this.rows.children[i] === element || this.rows.insertBefore(element, this.rows.children[i] ?? null));
    while (this.rows.children.length > wanted.length) this.rows.lastElementChild!.remove();
    if (focused && document.activeElement === document.body) this.rows.querySelector<HTMLElement>(`[data-lane="${focused}"]`)?.focus({ preventScroll: true });
    this.later();
  }

  private view(row: Row): View {
    if (row.kind === "group") return new GroupView(this.store, row, this.seek);
    return new LaneView(this.store, this.edits, row, this.seek, (text, at) => this.say(text, at));
  }

  private say(text: string, at: { x: number; y: number } | null): void {
    this.bubble.hidden = at === null;
    if (!at) return;
    this.bubble.textContent = text;
    this.bubble.style.left = `${Math.min(at.x + 14, window.innerWidth - 200)}px`;
    this.bubble.style.top = `${at.y - 34}px`;
  }

  /** Reads a text out to those who do not see the curve. */
  announce(text: string): void {
    this.spoken.textContent = text;
  }

  /** Draws once before the next frame, however much has changed. */
  later(): void {
    if (!this.isDrawn) return;
    this.isDrawn = false;
    requestAnimationFrame(() => {
      this.isDrawn = true;
      this.draw();
    });
  }

  private draw(): void {
    const { axis, widthPx } = this.store.state;
    for (const view of this.views) view.draw();
    const [context, colours] = [prepared(this.ruler, widthPx, RULER_PX), palette()];
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colours.dim;
    context.strokeStyle = colours.baseline;
    context.beginPath();
    for (const tick of ticks(axis, widthPx)) {
      const x = Math.round(toPx(axis, tick.t)) + 0.5;
      context.moveTo(x, RULER_PX);
      context.lineTo(x, RULER_PX - (tick.label ? 10 : 4));
      if (tick.label) context.fillText(tick.label, x + 4, RULER_PX - 8);
    }
    context.stroke();
    this.wave.draw();
    this.spacer.style.width = `${this.clock.offsetWidth + durationOf(this.store.state) * axis.pxPerSec + 2 * MARGIN_PX}px`;
    this.spacer.style.height = "1px";
    this.scrollbar.scrollLeft = axis.startSec * axis.pxPerSec + MARGIN_PX;
  }

  private movePlayhead(): void {
    const { axis, widthPx, timeSec, isPlaying } = this.store.state;
    const x = toPx(axis, timeSec);
    if (isPlaying && (x > widthPx || x < 0)) {
      this.store.set({ axis: bounded({ ...axis, startSec: timeSec }, durationOf(this.store.state), widthPx) });
      return;
    }
    this.playhead.hidden = x < -1 || x > widthPx + 1;
    this.playhead.style.transform = `translateX(${this.clock.offsetWidth + x}px)`;
    this.clock.textContent = clock(timeSec);
  }
}
