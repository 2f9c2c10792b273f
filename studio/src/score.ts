/** What a face performs, as lanes of keyframes. Scores are immutable: edits return new ones. */

import { curve, type Key, type Keys } from "./cubic";
import { type Bounds, thousandths } from "./keys";

/** Emotions with a lane, in the order of `auteur.expression.curve.NON_NEUTRAL_EMOTIONS`; neutral is all of them at 0. */
export const EMOTIONS = ["happy", "sad", "angry", "fear", "disgusted", "surprised", "contempt"] as const;

/** Largest sum of the emotions at one time: beyond 1, faces are extrapolated. */
export const STRONGEST = 1.2;
export const LARGEST_ANGLE_DEG = 45;

export const HEAD_ANGLES = ["yaw", "pitch", "roll"] as const;
export const GAZE_AXES = ["x", "y"] as const;

/** Action Units of the eyes' turns: value above 0, value below 0. */
export const GAZE_UNITS = { x: ["AU61", "AU62"], y: ["AU63", "AU64"] } as const;

export type LaneKind = "emotion" | "unit" | "head" | "gaze";

/** Such as "emotion:happy", "unit:AU12L", "head:yaw", "gaze:x". */
export type LaneId = `${LaneKind}:${string}`;

/** Emotions share their times, as the keys of `--emotion-curve` do. */
export interface EmotionKey {
  readonly t: number;
  /** Strength of each of `EMOTIONS`. */
  readonly s: readonly number[];
}

export interface Score {
  readonly emotions: readonly EmotionKey[];
  /** Keyframes of units, head and gaze by lane. */
  readonly lanes: Readonly<Record<string, Keys>>;
  readonly muted: readonly LaneId[];
  readonly solo: readonly LaneId[];
}

export const EMPTY: Score = { emotions: [], lanes: {}, muted: [], solo: [] };

export const kindOf = (lane: LaneId): LaneKind => lane.slice(0, lane.indexOf(":")) as LaneKind;
export const nameOf = (lane: LaneId): string => lane.slice(lane.indexOf(":") + 1);

const RANGES: Record<LaneKind, readonly [number, number]> = {
  emotion: [0, STRONGEST],
  unit: [0, 1],
  head: [-LARGEST_ANGLE_DEG, LARGEST_ANGLE_DEG],
  gaze: [-1, 1],
};

/** Values and times that keys of a lane may have. */
export function boundsOf(lane: LaneId, endSec: number): Bounds {
  const [low, high] = RANGES[kindOf(lane)];
  return { low, high, endSec };
}

/** Returns the keyframes of a lane. */
export function keysOf(score: Score, lane: LaneId): Keys {
  if (kindOf(lane) !== "emotion") return score.lanes[lane] ?? [];
  const at = EMOTIONS.indexOf(nameOf(lane) as (typeof EMOTIONS)[number]);
  return score.emotions.map((key) => ({ t: key.t, v: key.s[at] ?? 0 }));
}

/** Returns the score with other keyframes of one lane; keys of an emotion move those of all emotions. */
export function withKeys(score: Score, lane: LaneId, keys: Keys): Score {
  if (kindOf(lane) === "emotion") {
    const at = EMOTIONS.indexOf(nameOf(lane) as (typeof EMOTIONS)[number]);
    return { ...score, emotions: columns(score.emotions, at, keys) };
  }
  const lanes = { ...score.lanes };
  if (keys.length) lanes[lane] = keys;
  else delete lanes[lane];
  return { ...score, lanes };
}

function columns(before: readonly EmotionKey[], at: number, keys: Keys): EmotionKey[] {
  const others = EMOTIONS.map((_, i) => curve(before.map((key) => ({ t: key.t, v: key.s[i] ?? 0 }))));
  const isMoved = keys.length === before.length;
  return keys.map((key, n) => {
    const same = isMoved ? before[n] : before.find((one) => one.t === key.t);
    const s = same ? [...same.s] : others.map((value) => thousandths(value(key.t)));
    s[at] = 0;
    const rest = s.reduce((sum, value) => sum + value, 0);
    s[at] = thousandths(Math.max(0, Math.min(key.v, STRONGEST - rest)));
    return { t: key.t, s };
  });
}

/** Whether a lane takes part: not muted, and solo where any lane is. */
export function takesPart(score: Score, lane: LaneId): boolean {
  return !score.muted.includes(lane) && (score.solo.length === 0 || score.solo.includes(lane));
}

/** Switches a lane in a list of lanes on or off. */
export function toggled(lanes: readonly LaneId[], lane: LaneId): readonly LaneId[] {
  return lanes.includes(lane) ? lanes.filter((one) => one !== lane) : [...lanes, lane];
}

/**
 * Returns what a lane shows over time, as it is rendered.
 *
 * A gaze lane is the difference of two Action Units, each with its own curve.
 */
export function shown(score: Score, lane: LaneId): (t: number) => number {
  const keys = keysOf(score, lane);
  if (kindOf(lane) !== "gaze") return curve(keys);
  const [above, below] = [curve(half(keys, 1)), curve(half(keys, -1))];
  return (t) => above(t) - below(t);
}

/** The part of a gaze lane on one side of 0, as an Action Unit. */
export function half(keys: Keys, sign: 1 | -1): Key[] {
  return keys.map((key) => ({ t: key.t, v: Math.max(0, sign * key.v) }));
}

/** Splits a unit's lane into lanes of its sides, or joins them into one (the first that has keys). */
export function split(score: Score, unit: string, sides: readonly string[]): Score {
  const whole: LaneId = `unit:${unit}`;
  const parts = sides.map((side): LaneId => `unit:${side}`);
  const keys = keysOf(score, whole);
  if (keys.length) return parts.reduce((all, part) => withKeys(all, part, keys), withKeys(score, whole, []));
  const first = parts.map((part) => keysOf(score, part)).find((one) => one.length) ?? [];
  return parts.reduce((all, part) => withKeys(all, part, []), withKeys(score, whole, first));
}

/** Lanes that have keyframes. */
export function usedLanes(score: Score): LaneId[] {
  const emotions = EMOTIONS.filter((_, i) => score.emotions.some((key) => (key.s[i] ?? 0) > 0));
  return [...emotions.map((name): LaneId => `emotion:${name}`), ...(Object.keys(score.lanes) as LaneId[])];
}

/** Time of the last keyframe. */
export function endOf(score: Score): number {
  const times = [...score.emotions.map((key) => key.t), ...Object.values(score.lanes).map((keys) => keys[keys.length - 1]?.t ?? 0)];
  return Math.max(0, ...times);
}
