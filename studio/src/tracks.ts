/** Tracks of the service (`docs/formats.md`) as lanes, and lanes beside what was rendered. */

import type { Keys } from "./cubic";
import { fit, thousandths } from "./keys";
import { type LaneId, type Score, GAZE_AXES, GAZE_UNITS, HEAD_ANGLES, LARGEST_ANGLE_DEG, kindOf, nameOf, withKeys } from "./score";

/** A track in JSON: one row per frame, null where not measured. */
export interface Track {
  readonly kind: string;
  readonly rate: string;
  readonly start_sec: string;
  readonly channels: readonly string[];
  readonly values: readonly (readonly (number | null)[])[];
}

/** Units that form speech sounds: the speech moves them. */
const ARTICULATION = new Set([8, 16, 18, 22, 23, 24, 25, 26, 28, 29, 30]);
const UNSEEN = new Set([11, 19, 29, 30, 8]);
const BLINKS = new Set([43, 45]);
const GAZE = new Set([61, 62, 63, 64]);

/** A unit whose largest value stays under this is left to the motion model. */
const LEAST = 0.08;
const TOLERANCE = 0.05;
const TOLERANCE_DEG = 0.8;
const DEGREES = 180 / Math.PI;

/** Returns an exact rate or time, such as "30000/1001", as a number. */
export function fraction(text: string): number {
  const [above, below] = text.split("/");
  return Number(above) / Number(below ?? 1);
}

const numberOf = (control: string): number => Number(/\d+/.exec(control)?.[0] ?? 0);

function column(track: Track, name: string): (number | null)[] {
  const at = track.channels.indexOf(name);
  return at < 0 ? [] : track.values.map((row) => row[at] ?? null);
}

function meanOf(columns: (number | null)[][]): (number | null)[] {
  return (columns[0] ?? []).map((_, i) => {
    const known = columns.flatMap((one) => (one[i] === null || one[i] === undefined ? [] : [one[i]]));
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  });
}

function fitted(samples: (number | null)[], track: Track, tolerance: number, shift = 0): Keys {
  const start = fraction(track.start_sec) + shift;
  return fit(samples, fraction(track.rate), tolerance)
    .map((key) => ({ t: thousandths(key.t + start), v: key.v }))
    .filter((key) => key.t >= 0);
}

const largest = (samples: (number | null)[]): number => samples.reduce<number>((most, value) => Math.max(most, Math.abs(value ?? 0)), 0);

/** What of a track becomes lanes. */
export interface Wanted {
  /** Units of lips and jaw too: a recorded performance rather than one that was predicted from speech. */
  readonly lips: boolean;
}

/**
 * Returns the score with lanes from a track of Action Units ("facs").
 *
 * Sides that move alike become one lane. Units that hardly move, and blinks, are left to the motion model.
 */
export function withUnits(score: Score, track: Track, wanted: Wanted): Score {
  const sides = new Map<number, string[]>();
  for (const name of track.channels) sides.set(numberOf(name), [...(sides.get(numberOf(name)) ?? []), name]);
  let result = score;
  for (const [number, names] of sides) {
    if (GAZE.has(number) || UNSEEN.has(number) || BLINKS.has(number)) continue;
    if (!wanted.lips && ARTICULATION.has(number)) continue;
    const columns = names.map((name) => column(track, name));
    if (Math.max(...columns.map(largest)) < LEAST) continue;
    const apart = columns.some((one) => one.some((value, i) => Math.abs((value ?? 0) - (columns[0]![i] ?? 0)) > 0.15));
    const whole = `AU${number}`;
    for (const name of names) result = withKeys(result, `unit:${name}`, []);
    result = withKeys(result, `unit:${whole}`, []);
    if (apart) names.forEach((name, i) => (result = withKeys(result, `unit:${name}`, bounded(fitted(columns[i]!, track, TOLERANCE), 0, 1))));
    else result = withKeys(result, `unit:${whole}`, bounded(fitted(meanOf(columns), track, TOLERANCE), 0, 1));
  }
  return result;
}

const bounded = (keys: Keys, low: number, high: number): Keys => keys.map((key) => ({ t: key.t, v: Math.min(Math.max(key.v, low), high) }));

/** Angles of a pose track in degrees. */
function angles(track: Track, angle: string): (number | null)[] {
  return column(track, angle).map((value) => (value === null ? null : value * DEGREES));
}

/** Returns the score with lanes from a pose track. */
export function withHead(score: Score, track: Track): Score {
  return HEAD_ANGLES.reduce((all, angle) => {
    const keys = fitted(angles(track, angle), track, TOLERANCE_DEG);
    return withKeys(all, `head:${angle}`, bounded(keys, -LARGEST_ANGLE_DEG, LARGEST_ANGLE_DEG));
  }, score);
}

/** Returns the score with lanes from a gaze track: radians to the subject's left and up, half a radian being 1. */
export function withGaze(score: Score, track: Track): Score {
  return GAZE_AXES.reduce((all, axis) => {
    const samples = column(track, axis === "x" ? "yaw" : "pitch").map((value) => (value === null ? null : 2 * value));
    return withKeys(all, `gaze:${axis}`, bounded(fitted(samples, track, TOLERANCE), -1, 1));
  }, score);
}

/** Samples over time of one lane. */
export interface Samples {
  readonly rate: number;
  readonly startSec: number;
  readonly values: readonly (number | null)[];
}

/** Returns what was rendered in the place of a lane, or null where that is not known. */
export function renderedOf(units: Track, head: Track | null, lane: LaneId): Samples | null {
  const [kind, name] = [kindOf(lane), nameOf(lane)];
  const from = (track: Track, values: (number | null)[]): Samples | null =>
    values.length ? { rate: fraction(track.rate), startSec: fraction(track.start_sec), values } : null;
  if (kind === "head") return head && from(head, angles(head, name));
  if (kind === "unit") {
    const names = units.channels.filter((one) => one === name || (/^[LRTB]$/.test(one.slice(-1)) && one.slice(0, -1) === name));
    return from(units, meanOf(names.map((one) => column(units, one))));
  }
  if (kind !== "gaze") return null;
  const [above, below] = GAZE_UNITS[name as "x" | "y"];
  const [plus, minus] = [above, below].map((unit) => meanOf([column(units, `${unit}L`), column(units, `${unit}R`)]));
  return from(units, (plus ?? []).map((value, i) => (value ?? 0) - (minus?.[i] ?? 0)));
}
