/**
 * The curve between keyframes: the monotone cubic of `auteur.expression.curve`, operation by operation.
 *
 * Cubic Hermite with the slopes of Fritsch & Butland, "A method for constructing local monotone piecewise cubic
 * interpolants", 1984. `test/curves.json` holds numbers of the Python side; both sides are tested against it.
 */

/** A keyframe: seconds and value. */
export interface Key {
  readonly t: number;
  readonly v: number;
}

/** Keyframes with rising times. */
export type Keys = readonly Key[];

/** Slope of the curve at every key: 0 at turns and ends, a weighted harmonic mean elsewhere. */
export function slopes(keys: Keys): Float64Array {
  const result = new Float64Array(keys.length);
  for (let i = 1; i < keys.length - 1; i++) {
    const [one, two, three] = [keys[i - 1]!, keys[i]!, keys[i + 1]!];
    const [before, after] = [two.t - one.t, three.t - two.t];
    const [rise, next] = [(two.v - one.v) / before, (three.v - two.v) / after];
    if (rise * next > 0) {
      const [first, second] = [2 * after + before, after + 2 * before];
      result[i] = (first + second) / (first / rise + second / next);
    }
  }
  return result;
}

/** Index of the last key at or before `t`, at least 0 and at most the last but one. */
function segment(keys: Keys, t: number): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle]!.t <= t) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, Math.min(low - 1, keys.length - 2));
}

/** Returns the curve as a function of seconds; before the first and after the last key their values hold. */
export function curve(keys: Keys): (t: number) => number {
  const [first, last] = [keys[0], keys[keys.length - 1]];
  if (!first || !last) return () => 0;
  if (keys.length === 1) return () => first.v;
  const slope = slopes(keys);
  return (wanted) => {
    const t = Math.min(Math.max(wanted, first.t), last.t);
    const at = segment(keys, t);
    const [one, two] = [keys[at]!, keys[at + 1]!];
    const span = two.t - one.t;
    const u = (t - one.t) / span;
    const rise = u * u * (3 - 2 * u);
    const bend = span * (u * (1 - u) ** 2 * slope[at]! - u * u * (1 - u) * slope[at + 1]!);
    const value = (1 - rise) * one.v + rise * two.v + bend;
    return Math.min(Math.max(value, Math.min(one.v, two.v)), Math.max(one.v, two.v));
  };
}
