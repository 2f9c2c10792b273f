import { describe, expect, it } from "vitest";
import { curve, type Key } from "../src/cubic";
import { EMPTY, EMOTIONS, type EmotionKey, type Score, half, keysOf, shown } from "../src/score";
import { emotionText } from "../src/request";
import kept from "./curves.json";

interface Numbers {
  rate: number;
  curves: Record<string, { keys: [number, number][]; values: number[] }>;
  emotions: { text: string; keys: EmotionKey[]; values: Record<string, number[]> };
}

const numbers = kept as unknown as Numbers;
const keysIn = (pairs: [number, number][]): Key[] => pairs.map(([t, v]) => ({ t, v }));

function compare(value: (t: number) => number, rendered: number[]): void {
  rendered.forEach((wanted, i) => expect(Math.abs(value(i / numbers.rate) - wanted)).toBeLessThan(1e-12));
}

describe("the drawn curve is the rendered curve", () => {
  it.each(Object.keys(numbers.curves))("%s", (name) => {
    const { keys, values } = numbers.curves[name]!;
    compare(curve(keysIn(keys)), values);
  });

  it("of emotions that share their times", () => {
    const score: Score = { ...EMPTY, emotions: numbers.emotions.keys };
    for (const name of EMOTIONS) compare(shown(score, `emotion:${name}`), numbers.emotions.values[name]!);
    expect(emotionText(score)).toBe("0.4s neutral, 1s happy:0.3, 3s happy:1+surprised:0.2, 5s sad:0.4+fear:0.3");
  });

  it("of gaze, the difference of two units", () => {
    const score: Score = { ...EMPTY, lanes: { "gaze:x": keysIn([[0, 0.5], [1, -0.8], [2, 0.2]]) } };
    const keys = keysOf(score, "gaze:x");
    const [left, right] = [curve(half(keys, 1)), curve(half(keys, -1))];
    for (let t = 0; t <= 2; t += 0.04) expect(shown(score, "gaze:x")(t)).toBe(left(t) - right(t));
    expect(shown(score, "gaze:x")(1)).toBe(-0.8);
  });
});

describe("the curve", () => {
  it("passes through its keys and never overshoots", () => {
    const keys = keysIn([[0, 0.2], [0.5, 1], [0.6, 0.1], [2, 0.1], [3, 0.9]]);
    const value = curve(keys);
    for (const key of keys) expect(value(key.t)).toBe(key.v);
    for (let t = 0.6; t <= 2; t += 0.01) expect(value(t)).toBeCloseTo(0.1, 12);
    for (let t = 0; t <= 3; t += 0.01) expect(value(t)).toBeLessThanOrEqual(1);
  });

  it("holds its ends and is 0 without keys", () => {
    const value = curve(keysIn([[1, 0.3], [2, 0.6]]));
    expect([value(0), value(9)]).toEqual([0.3, 0.6]);
    expect(curve([])(1)).toBe(0);
  });
});
