/** From a score to the body of a request, as `docs/service.md` describes it. */

import type { Keys } from "./cubic";
import { EMOTIONS, GAZE_AXES, GAZE_UNITS, HEAD_ANGLES, type LaneId, type Score, half, takesPart, keysOf, kindOf, nameOf } from "./score";

/** Settings of a video, beside what is performed. */
export interface Settings {
  readonly seed: number | null;
  readonly fps: number;
  readonly size: string;
  readonly preset: string;
  readonly lips: string;
  readonly head: number;
  readonly background: string;
  readonly format: string;
  /** Who agreed to be shown, and on what basis; of the portrait. */
  readonly consent: string;
}

export const DEFAULTS: Settings = { seed: 7, fps: 25, size: "", preset: "", lips: "", head: 1, background: "", format: "mp4", consent: "" };

export type Pairs = [number, number][];

/** The keys of a request that the page sets. */
export interface Body {
  portrait?: string;
  speech?: string;
  emotion_curve?: string;
  curves?: Record<string, Pairs>;
  head_curves?: Record<string, Pairs>;
  mute?: string[];
  [setting: string]: unknown;
}

const pairs = (keys: Keys): Pairs => keys.map((key) => [key.t, key.v]);
const decimal = (x: number): string => String(Number(x.toFixed(3)));

/** Returns the text of `--emotion-curve`, or null where no emotion has keys. */
export function emotionText(score: Score): string | null {
  const isPlayed = EMOTIONS.map((name) => takesPart(score, `emotion:${name}`));
  if (!score.emotions.length || !isPlayed.some(Boolean)) return null;
  return score.emotions
    .map((key) => {
      const mix = EMOTIONS.flatMap((name, i) => (isPlayed[i] && key.s[i] ? [`${name}:${decimal(key.s[i])}`] : []));
      return `${decimal(key.t)}s ${mix.join("+") || "neutral"}`;
    })
    .join(", ");
}

/** Returns the keyframes of Action Units by control, gaze among them. */
export function unitCurves(score: Score): Record<string, Pairs> {
  const found: Record<string, Pairs> = {};
  for (const lane of Object.keys(score.lanes) as LaneId[]) {
    if (kindOf(lane) === "unit" && takesPart(score, lane)) found[nameOf(lane)] = pairs(keysOf(score, lane));
  }
  for (const axis of GAZE_AXES) {
    const keys = keysOf(score, `gaze:${axis}`);
    if (!keys.length || !takesPart(score, `gaze:${axis}`)) continue;
    const [above, below] = GAZE_UNITS[axis];
    found[above] = pairs(half(keys, 1));
    found[below] = pairs(half(keys, -1));
  }
  return found;
}

/** Returns the keyframes of the head's angles, degrees. */
export function headCurves(score: Score): Record<string, Pairs> {
  const angles = HEAD_ANGLES.filter((angle) => keysOf(score, `head:${angle}`).length && takesPart(score, `head:${angle}`));
  return Object.fromEntries(angles.map((angle) => [angle, pairs(keysOf(score, `head:${angle}`))]));
}

/** Returns the body of a request; keys without a value are left out. */
export function bodyOf(score: Score, settings: Settings, portrait: string, speech: string | null): Body {
  const body: Body = { portrait };
  if (speech) body.speech = speech;
  const [text, curves, head] = [emotionText(score), unitCurves(score), headCurves(score)];
  if (text) body.emotion_curve = text;
  if (Object.keys(curves).length) body.curves = curves;
  if (Object.keys(head).length) body.head_curves = head;
  const muted = score.muted.filter((lane) => kindOf(lane) === "unit").map(nameOf);
  if (muted.length) body.mute = muted;
  for (const [name, value] of Object.entries(settings)) {
    if (value !== "" && value !== null && value !== DEFAULTS[name as keyof Settings]) body[name] = value;
  }
  if (settings.seed !== null) body["seed"] = settings.seed;
  return body;
}
