/** Arithmetic of keyframes: every function returns new keys with rising times and leaves its arguments alone. */

import { curve, type Key, type Keys } from "./cubic";

/** Smallest distance between two keys, seconds. */
export const CLOSEST_SEC = 0.02;

/** Bounds of a lane: values, and times from 0. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
  readonly endSec: number;
}

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** Rounds to thousandths: what is drawn, sent and saved is the same number. */
export const thousandths = (x: number): number => Math.round(x * 1000) / 1000 + 0;

const inside = (key: Key, bounds: Bounds): Key => ({
  t: thousandths(clamp(key.t, 0, bounds.endSec)),
  v: thousandths(clamp(key.v, bounds.low, bounds.high)),
});

/** Adds a key; one that lies closer than `CLOSEST_SEC` gives way. */
export function insert(keys: Keys, added: Key, bounds: Bounds): Keys {
  const key = inside(added, bounds);
  const others = keys.filter((one) => Math.abs(one.t - key.t) >= CLOSEST_SEC - 1e-9);
  return [...others, key].sort((a, b) => a.t - b.t);
}

/** Removes keys by index. */
export function remove(keys: Keys, indices: readonly number[]): Keys {
  return keys.filter((_, i) => !indices.includes(i));
}

/**
 * Moves chosen keys together. Their order and the others stay: the time step ends `CLOSEST_SEC` before a
 * neighbour and at the ends, values end at the bounds. Indices of keys do not change.
 */
export function move(keys: Keys, indices: readonly number[], dt: number, dv: number, bounds: Bounds): Keys {
  const chosen = new Set(indices);
  let [earliest, latest] = [-Infinity, Infinity];
  for (const i of chosen) {
    const key = keys[i];
    if (!key) continue;
    const [before, after] = [keys[i - 1], keys[i + 1]];
    earliest = Math.max(earliest, (before && !chosen.has(i - 1) ? before.t + CLOSEST_SEC : i === 0 ? 0 : -Infinity) - key.t);
    latest = Math.min(latest, (after && !chosen.has(i + 1) ? after.t - CLOSEST_SEC : i === keys.length - 1 ? bounds.endSec : Infinity) - key.t);
  }
  const step = latest < earliest ? 0 : clamp(dt, earliest, latest);
  return keys.map((key, i) => (chosen.has(i) ? inside({ t: key.t + step, v: key.v + dv }, bounds) : key));
}

/** Multiplies values of chosen keys by a factor, about 0. */
export function scale(keys: Keys, indices: readonly number[], factor: number, bounds: Bounds): Keys {
  const chosen = new Set(indices);
  return keys.map((key, i) => (chosen.has(i) ? inside({ t: key.t, v: key.v * factor }, bounds) : key));
}

/**
 * Draws chosen keys towards the straight line between their neighbours.
 *
 * `amount` from 0 (nothing) to 1 (onto the line); the first and the last key stay.
 */
export function smooth(keys: Keys, indices: readonly number[], amount: number): Keys {
  const chosen = new Set(indices);
  return keys.map((key, i) => {
    const [before, after] = [keys[i - 1], keys[i + 1]];
    if (!chosen.has(i) || !before || !after) return key;
    const line = before.v + ((after.v - before.v) * (key.t - before.t)) / (after.t - before.t);
    return { t: key.t, v: thousandths(key.v + amount * (line - key.v)) };
  });
}

/** Returns chosen keys with times from 0, for pasting. */
export function copy(keys: Keys, indices: readonly number[]): Keys {
  const chosen = keys.filter((_, i) => indices.includes(i));
  const start = chosen[0]?.t ?? 0;
  return chosen.map((key) => ({ t: thousandths(key.t - start), v: key.v }));
}

/** Inserts copied keys from `atSec` on; what would lie behind the end is left out. */
export function paste(keys: Keys, copied: Keys, atSec: number, bounds: Bounds): Keys {
  const [first, last] = [copied[0], copied[copied.length - 1]];
  if (!first || !last) return keys;
  const kept = keys.filter((key) => key.t < atSec - CLOSEST_SEC || key.t > atSec + last.t + CLOSEST_SEC);
  return copied
    .filter((key) => atSec + key.t <= bounds.endSec + 1e-9)
    .reduce<Keys>((all, key) => insert(all, { t: atSec + key.t, v: key.v }, bounds), kept);
}

/** Returns the nearest target within `withinSec`, else `t`. */
export function snap(t: number, targets: readonly number[], withinSec: number): number {
  let [best, distance] = [t, withinSec];
  for (const target of targets) {
    if (Math.abs(target - t) <= distance) [best, distance] = [target, Math.abs(target - t)];
  }
  return best;
}

/** Indices of keys whose times lie between two times. */
export function between(keys: Keys, one: number, two: number): number[] {
  const [low, high] = [Math.min(one, two), Math.max(one, two)];
  return keys.flatMap((key, i) => (key.t >= low && key.t <= high ? [i] : []));
}

/**
 * Returns few keys whose curve stays within `tolerance` of samples; null samples are not measured and bridged.
 *
 * Where a stretch between two keys is too far off, the sample that is furthest off becomes a key, until none is.
 */
export function fit(samples: readonly (number | null)[], rate: number, tolerance: number): Keys {
  const all = samples.flatMap((v, i) => (v === null || !Number.isFinite(v) ? [] : [{ t: i / rate, v }]));
  const [first, last] = [all[0], all[all.length - 1]];
  if (!first || !last) return [];
  const chosen = new Set([0, all.length - 1]);
  for (let grown = true; grown; ) {
    const places = [...chosen].sort((a, b) => a - b);
    const at = curve(places.map((i) => all[i]!));
    grown = false;
    for (let part = 0; part + 1 < places.length; part++) {
      let [worst, off] = [-1, tolerance];
      for (let i = places[part]! + 1; i < places[part + 1]!; i++) {
        const error = Math.abs(at(all[i]!.t) - all[i]!.v);
        if (error > off) [worst, off] = [i, error];
      }
      if (worst >= 0) {
        chosen.add(worst);
        grown = true;
      }
    }
  }
  const keys = [...chosen].sort((a, b) => a - b).map((i) => all[i]!);
  const isFlat = keys.every((key) => Math.abs(key.v - first.v) <= tolerance);
  return (isFlat ? [first] : keys).map((key) => ({ t: thousandths(key.t), v: thousandths(key.v) }));
}
