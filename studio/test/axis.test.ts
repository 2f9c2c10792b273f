import { describe, expect, it } from "vitest";
import { bounded, clock, ticks, toPx, toSec, whole, zoomed } from "../src/axis";

describe("the axis", () => {
  const axis = { startSec: 2, pxPerSec: 100 };

  it("goes from seconds to pixels and back", () => {
    expect(toPx(axis, 3.5)).toBe(150);
    expect(toSec(axis, 150)).toBe(3.5);
  });

  it("zooms about a place", () => {
    const closer = zoomed(axis, 2, 300, 60, 900);
    expect(toSec(closer, 300)).toBeCloseTo(5, 9);
    expect(closer.pxPerSec).toBe(200);
  });

  it("never leaves 0 and the end", () => {
    expect(bounded({ startSec: -4, pxPerSec: 1 }, 60, 900)).toEqual(whole(60, 900));
    expect(bounded({ startSec: 99, pxPerSec: 100 }, 60, 900).startSec).toBeCloseTo(51.1, 9);
  });

  it("labels ticks at least 72 px apart, for a second and for an hour", () => {
    for (const seconds of [1, 7, 60, 600, 3600]) {
      const labels = ticks(whole(seconds, 900), 900).filter((tick) => tick.label);
      expect(labels.length).toBeGreaterThan(2);
      expect(labels.length).toBeLessThan(14);
    }
  });

  it("writes times", () => {
    expect([clock(65.2), clock(600, 0), clock(0)]).toEqual(["1:05.20", "10:00", "0:00.00"]);
  });
});
