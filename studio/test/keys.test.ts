import { describe, expect, it } from "vitest";
import { curve, type Keys } from "../src/cubic";
import { type Bounds, CLOSEST_SEC, between, copy, fit, insert, move, paste, remove, scale, smooth, snap } from "../src/keys";

const BOUNDS: Bounds = { low: 0, high: 1, endSec: 5 };
const KEYS: Keys = [{ t: 0, v: 0 }, { t: 1, v: 0.5 }, { t: 2, v: 1 }, { t: 4, v: 0.2 }];
const isRising = (keys: Keys): boolean => keys.every((key, i) => i === 0 || key.t > keys[i - 1]!.t);

describe("insert and remove", () => {
  it("keeps times rising and values within the bounds", () => {
    const keys = insert(KEYS, { t: 3, v: 1.7 }, BOUNDS);
    expect(keys.map((key) => key.t)).toEqual([0, 1, 2, 3, 4]);
    expect(keys[3]!.v).toBe(1);
    expect(insert(KEYS, { t: 9, v: -1 }, BOUNDS).at(-1)).toEqual({ t: 5, v: 0 });
  });

  it("replaces a key at the same time", () => {
    expect(insert(KEYS, { t: 1.005, v: 0.9 }, BOUNDS)).toHaveLength(4);
  });

  it("removes by index", () => {
    expect(remove(KEYS, [1, 3]).map((key) => key.t)).toEqual([0, 2]);
  });
});

describe("move", () => {
  it("moves several keys by the same step", () => {
    const keys = move(KEYS, [1, 2], 0.5, 0.1, BOUNDS);
    expect(keys).toEqual([{ t: 0, v: 0 }, { t: 1.5, v: 0.6 }, { t: 2.5, v: 1 }, { t: 4, v: 0.2 }]);
  });

  it("does not pass neighbours that stay", () => {
    expect(move(KEYS, [1], 7, 0, BOUNDS)[1]!.t).toBeCloseTo(2 - CLOSEST_SEC, 9);
    expect(move(KEYS, [2], -7, 0, BOUNDS)[2]!.t).toBeCloseTo(1 + CLOSEST_SEC, 9);
    expect(isRising(move(KEYS, [0, 2], 7, 0, BOUNDS))).toBe(true);
  });

  it("stays within 0 and the end", () => {
    expect(move(KEYS, [0], -3, 0, BOUNDS)[0]!.t).toBe(0);
    expect(move(KEYS, [3], 30, 0, BOUNDS)[3]!.t).toBe(5);
  });

  it("leaves what it was given alone", () => {
    const before = JSON.stringify(KEYS);
    move(KEYS, [0, 1, 2, 3], 1, 1, BOUNDS);
    expect(JSON.stringify(KEYS)).toBe(before);
  });
});

describe("scale and smooth", () => {
  it("scales about 0 and stops at the bounds", () => {
    expect(scale(KEYS, [1, 2], 1.5, BOUNDS).map((key) => key.v)).toEqual([0, 0.75, 1, 0.2]);
  });

  it("draws a spike towards its neighbours and leaves the ends", () => {
    const spike: Keys = [{ t: 0, v: 0.2 }, { t: 1, v: 0.9 }, { t: 2, v: 0.4 }];
    expect(smooth(spike, [0, 1, 2], 1).map((key) => key.v)).toEqual([0.2, 0.3, 0.4]);
    expect(smooth(spike, [0, 1, 2], 0.5)[1]!.v).toBeCloseTo(0.6, 9);
  });
});

describe("copy and paste", () => {
  it("pastes with the same distances and replaces what lies there", () => {
    const copied = copy(KEYS, [1, 2]);
    expect(copied).toEqual([{ t: 0, v: 0.5 }, { t: 1, v: 1 }]);
    const keys = paste(KEYS, copied, 3.5, BOUNDS);
    expect(keys.map((key) => key.t)).toEqual([0, 1, 2, 3.5, 4.5]);
  });

  it("leaves out what would lie behind the end", () => {
    expect(paste([], copy(KEYS, [0, 1, 2, 3]), 3.5, BOUNDS).map((key) => key.t)).toEqual([3.5, 4.5]);
  });
});

describe("snap and between", () => {
  it("takes the nearest target within reach", () => {
    expect(snap(1.03, [0, 1, 1.05], 0.1)).toBe(1.05);
    expect(snap(1.03, [0, 2], 0.1)).toBe(1.03);
  });

  it("finds keys in a stretch, whichever end comes first", () => {
    expect(between(KEYS, 2.5, 0.5)).toEqual([1, 2]);
  });
});

describe("fit", () => {
  const samples = Array.from({ length: 251 }, (_, i) => 0.5 + 0.4 * Math.sin(i / 15) * Math.exp(-i / 150));

  it("stays within the tolerance with few keys", () => {
    const keys = fit(samples, 25, 0.03);
    const value = curve(keys);
    samples.forEach((wanted, i) => expect(Math.abs(value(i / 25) - wanted)).toBeLessThan(0.032));
    expect(keys.length).toBeLessThan(40);
    expect(isRising(keys)).toBe(true);
  });

  it("bridges what is not measured", () => {
    const holes = samples.map((value, i) => (i > 40 && i < 60 ? null : value));
    expect(fit(holes, 25, 0.03).some((key) => key.t > 1.65 && key.t < 2.35)).toBe(false);
  });

  it("makes one key of a flat curve, none of nothing", () => {
    expect(fit(Array(100).fill(0.3), 25, 0.03)).toEqual([{ t: 0, v: 0.3 }]);
    expect(fit([null, null], 25, 0.03)).toEqual([]);
  });
});
