/** Edits of the selected keys, for buttons and for the keyboard alike. */

import type { Keys } from "./cubic";
import { type Bounds, copy, insert, move, paste, remove, scale, smooth, snap } from "./keys";
import { type LaneId, type Score, boundsOf, keysOf, shown, split, toggled, withKeys } from "./score";
import { type Selection, type State, type Store, durationOf } from "./store";

const SMOOTHING = 0.5;
export const FRAME_SEC = 0.04;
const SNAP_PX = 7;

/** Times that keys snap to: playhead, sounds and words, keys of other lanes, start and end. */
export function snapTargets(state: State, lane: LaneId): number[] {
  const sounds = [...(state.analysis?.words ?? []), ...(state.analysis?.phones ?? [])].map((piece) => piece.startSec);
  const others = Object.entries(state.score.lanes).flatMap(([other, keys]) => (other === lane ? [] : keys.map((key) => key.t)));
  const emotions = lane.startsWith("emotion:") ? [] : state.score.emotions.map((key) => key.t);
  return [state.timeSec, 0, durationOf(state), ...sounds, ...others, ...emotions];
}

/** Returns the nearest target within a few pixels, else the nearest frame. */
export function snapped(state: State, lane: LaneId, t: number): number {
  const near = snap(t, snapTargets(state, lane), SNAP_PX / state.axis.pxPerSec);
  return near !== t ? near : Math.round(t / FRAME_SEC) * FRAME_SEC;
}

export class Edits {
  private copied: Keys = [];

  constructor(private readonly store: Store) {}

  private get bounds(): Bounds {
    return boundsOf(this.store.state.selection.lane!, durationOf(this.store.state));
  }

  /** Selected keys, or all of the lane in focus where none is selected. */
  private get chosen(): number[] {
    const { selection, score } = this.store.state;
    if (!selection.lane) return [];
    return selection.indices.length ? [...selection.indices] : keysOf(score, selection.lane).map((_, i) => i);
  }

  private change(edit: (keys: Keys) => Keys, indices?: (keys: Keys) => number[]): void {
    const { score, selection } = this.store.state;
    if (!selection.lane) return;
    const keys = edit(keysOf(score, selection.lane));
    const kept: Selection = indices ? { lane: selection.lane, indices: indices(keys) } : selection;
    this.store.edit(withKeys(score, selection.lane, keys), kept);
  }

  focus(lane: LaneId): void {
    if (this.store.state.selection.lane !== lane) this.store.set({ selection: { lane, indices: [] } });
  }

  select(lane: LaneId, indices: readonly number[]): void {
    this.store.set({ selection: { lane, indices } });
  }

  /** Adds a key; without a value where the curve is. */
  add(lane: LaneId, t: number, value?: number): void {
    const { state } = this.store;
    const bounds = boundsOf(lane, durationOf(state));
    const keys = insert(keysOf(state.score, lane), { t, v: value ?? shown(state.score, lane)(t) }, bounds);
    const at = keys.findIndex((key) => Math.abs(key.t - t) < 0.001);
    this.store.edit(withKeys(state.score, lane, keys), { lane, indices: at < 0 ? [] : [at] });
  }

  addAtPlayhead(): void {
    const { selection, timeSec } = this.store.state;
    if (selection.lane) this.add(selection.lane, timeSec);
  }

  remove(): void {
    const { indices } = this.store.state.selection;
    if (indices.length) this.change((keys) => remove(keys, indices), () => []);
  }

  nudge(dt: number, dv: number): void {
    const { indices } = this.store.state.selection;
    if (indices.length) this.change((keys) => move(keys, indices, dt, dv, this.bounds));
  }

  scale(factor: number): void {
    this.change((keys) => scale(keys, this.chosen, factor, this.bounds));
  }

  smooth(): void {
    this.change((keys) => smooth(keys, this.chosen, SMOOTHING));
  }

  selectAll(): void {
    const { selection, score } = this.store.state;
    if (selection.lane) this.select(selection.lane, keysOf(score, selection.lane).map((_, i) => i));
  }

  /** Selects the key before or behind the selected one. */
  step(by: 1 | -1): void {
    const { selection, score, timeSec } = this.store.state;
    if (!selection.lane) return;
    const keys = keysOf(score, selection.lane);
    const from = selection.indices[by > 0 ? selection.indices.length - 1 : 0];
    const found = from === undefined ? (by > 0 ? keys.findIndex((key) => key.t >= timeSec) : keys.filter((key) => key.t <= timeSec).length - 1) : from + by;
    if (keys[found]) this.select(selection.lane, [found]);
  }

  /** Returns how many keys were copied. */
  copy(): number {
    const { selection, score } = this.store.state;
    if (!selection.lane) return 0;
    this.copied = copy(keysOf(score, selection.lane), this.chosen);
    return this.copied.length;
  }

  cut(): number {
    const copied = this.copy();
    const indices = this.chosen;
    this.change((keys) => remove(keys, indices), () => []);
    return copied;
  }

  paste(): void {
    const { timeSec } = this.store.state;
    const last = this.copied[this.copied.length - 1];
    if (!last) return;
    const inside = (t: number): boolean => t >= timeSec - 0.001 && t <= timeSec + last.t + 0.001;
    this.change(
      (keys) => paste(keys, this.copied, timeSec, this.bounds),
      (keys) => keys.flatMap((key, i) => (inside(key.t) ? [i] : [])),
    );
  }

  mute(lane: LaneId): void {
    this.store.edit({ ...this.store.state.score, muted: toggled(this.store.state.score.muted, lane) });
  }

  solo(lane: LaneId): void {
    this.store.edit({ ...this.store.state.score, solo: toggled(this.store.state.score.solo, lane) });
  }

  /** Splits a unit into left and right, or joins them. */
  split(unit: string, sides: readonly string[]): void {
    const { score, splitUnits } = this.store.state;
    const isSplit = splitUnits.includes(unit) || sides.some((side) => keysOf(score, `unit:${side}`).length > 0);
    this.store.set({ splitUnits: isSplit ? splitUnits.filter((one) => one !== unit) : [...splitUnits, unit] });
    const now: Score = split(score, unit, sides);
    const hasKeys = [unit, ...sides].some((one) => keysOf(score, `unit:${one}`).length);
    if (hasKeys) this.store.edit(now, { lane: null, indices: [] });
  }
}
