import { describe, expect, it } from "vitest";
import { History } from "../src/history";
import { projectText, parseProject, ProjectError, type Project } from "../src/project";
import { DEFAULTS, bodyOf, emotionText, unitCurves } from "../src/request";
import { EMPTY, type Score, endOf, takesPart, keysOf, split, toggled, usedLanes, withKeys } from "../src/score";
import { type Track, renderedOf, withHead, withUnits } from "../src/tracks";

const SMILE: Score = withKeys(EMPTY, "unit:AU12", [{ t: 0, v: 0 }, { t: 1, v: 0.8 }]);

describe("emotions", () => {
  const one = withKeys(EMPTY, "emotion:happy", [{ t: 0, v: 0 }, { t: 2, v: 1 }]);

  it("share their times", () => {
    expect(keysOf(one, "emotion:sad").map((key) => key.t)).toEqual([0, 2]);
    const two = withKeys(one, "emotion:sad", [{ t: 0, v: 0 }, { t: 1, v: 0.2 }, { t: 2, v: 0 }]);
    expect(keysOf(two, "emotion:happy")[1]).toEqual({ t: 1, v: 0.5 });
  });

  it("add up to 1.2 at most", () => {
    const two = withKeys(one, "emotion:angry", [{ t: 0, v: 0 }, { t: 2, v: 1 }]);
    expect(keysOf(two, "emotion:angry")[1]!.v).toBeCloseTo(0.2, 9);
  });

  it("become text, without those that are muted", () => {
    expect(emotionText(one)).toBe("0s neutral, 2s happy:1");
    expect(emotionText({ ...one, muted: ["emotion:happy"] })).toBe("0s neutral, 2s neutral");
    expect(emotionText(EMPTY)).toBeNull();
  });
});

describe("mute and solo", () => {
  it("decide who takes part", () => {
    expect(takesPart({ ...SMILE, muted: ["unit:AU12"] }, "unit:AU12")).toBe(false);
    expect(takesPart({ ...SMILE, solo: ["unit:AU4"] }, "unit:AU12")).toBe(false);
    expect(toggled(["unit:AU4"], "unit:AU4")).toEqual([]);
  });

  it("reach the request", () => {
    const body = bodyOf({ ...SMILE, muted: ["unit:AU4"] }, DEFAULTS, "p", "s");
    expect(body).toEqual({ portrait: "p", speech: "s", curves: { AU12: [[0, 0], [1, 0.8]] }, mute: ["AU4"], seed: 7 });
    expect(unitCurves({ ...SMILE, solo: ["head:yaw"] })).toEqual({});
  });
});

describe("requests", () => {
  it("turn gaze into two units and leave out what is not set", () => {
    const score = withKeys(EMPTY, "gaze:x", [{ t: 0, v: 0.5 }, { t: 1, v: -0.25 }]);
    expect(unitCurves(score)).toEqual({ AU61: [[0, 0.5], [1, 0]], AU62: [[0, 0], [1, 0.25]] });
    expect(bodyOf(EMPTY, { ...DEFAULTS, seed: null, size: "480" }, "p", null)).toEqual({ portrait: "p", size: "480" });
    expect(bodyOf(EMPTY, { ...DEFAULTS, seed: null, consent: "Jane Doe, release" }, "p", null)).toEqual({ portrait: "p", consent: "Jane Doe, release" });
  });
});

describe("left and right", () => {
  it("come apart with the curve of the whole, and together again", () => {
    const apart = split(SMILE, "AU12", ["AU12L", "AU12R"]);
    expect(usedLanes(apart)).toEqual(["unit:AU12L", "unit:AU12R"]);
    expect(split(apart, "AU12", ["AU12L", "AU12R"])).toEqual(SMILE);
  });
});

describe("tracks", () => {
  const track = (channels: string[], values: (number | null)[][], kind = "au"): Track => ({ kind, rate: "25", start_sec: "0", channels, values });
  const rise = (i: number): number => Math.min(1, i / 25);

  it("become lanes, one for two sides that move alike", () => {
    const values = Array.from({ length: 50 }, (_, i) => [rise(i), rise(i), 0.01, 0.3, rise(i)]);
    const score = withUnits(EMPTY, track(["AU12L", "AU12R", "AU4L", "AU26", "AU45L"], values), { lips: false });
    expect(usedLanes(score)).toEqual(["unit:AU12"]);
    expect(usedLanes(withUnits(EMPTY, track(["AU26"], values.map((row) => [row[3]!])), { lips: true }))).toEqual(["unit:AU26"]);
  });

  it("become two lanes where the sides differ", () => {
    const values = Array.from({ length: 50 }, (_, i) => [rise(i), 0]);
    expect(usedLanes(withUnits(EMPTY, track(["AU12L", "AU12R"], values), { lips: false }))).toEqual(["unit:AU12L", "unit:AU12R"]);
  });

  it("of heads are in degrees", () => {
    const values = Array.from({ length: 25 }, (_, i) => [-0.1, 0.2 * rise(i), 0]);
    const score = withHead(EMPTY, track(["pitch", "yaw", "roll"], values, "pose"));
    expect(keysOf(score, "head:pitch")).toEqual([{ t: 0, v: -5.73 }]);
    expect(keysOf(score, "head:yaw").at(-1)!.v).toBeCloseTo(11, 0);
  });

  it("of what was rendered stand beside their lanes", () => {
    const rendered = track(["AU12L", "AU12R", "AU61L", "AU61R", "AU62L", "AU62R"], [[0.2, 0.4, 0.5, 0.5, 0, 0]]);
    expect(renderedOf(rendered, null, "unit:AU12")!.values[0]).toBeCloseTo(0.3, 9);
    expect(renderedOf(rendered, null, "gaze:x")!.values).toEqual([0.5]);
    expect(renderedOf(rendered, null, "emotion:happy")).toBeNull();
    expect(renderedOf(rendered, null, "head:yaw")).toBeNull();
  });
});

describe("history", () => {
  it("goes back and forth and forgets what was undone after an edit", () => {
    const history = new History<number>();
    history.record(1);
    history.record(2);
    expect(history.undo(3)).toBe(2);
    expect(history.undo(2)).toBe(1);
    expect(history.redo(1)).toBe(2);
    history.record(2);
    expect(history.canRedo).toBe(false);
    expect(new History<number>().undo(7)).toBe(7);
  });

  it("has a longest", () => {
    const history = new History<number>(2);
    [1, 2, 3].forEach((n) => history.record(n));
    expect([history.undo(4), history.undo(3), history.undo(2)]).toEqual([3, 2, 2]);
  });
});

describe("projects", () => {
  const project: Project = { name: "Scene", score: withKeys(SMILE, "emotion:sad", [{ t: 1, v: 0.4 }]), settings: DEFAULTS, portrait: { id: "p", name: "me.png", type: "image/png", data: "aGk=" }, speech: null, takes: [{ id: "j", name: "Take 1" }] };

  it("come back as they were saved", () => {
    expect(parseProject(projectText(project))).toEqual(project);
  });

  it.each([
    ["{", "not JSON"],
    ['{"format": "other"}', "format"],
    ['{"format": "auteur-studio", "version": 9}', "version"],
    ['{"format": "auteur-studio", "version": 1}', "score"],
    [projectText({ ...project, score: { ...EMPTY, lanes: { "unit:../x": [] } } }), "no lane"],
    [projectText({ ...project, score: { ...EMPTY, lanes: { "unit:AU12": [{ t: 2, v: 0 }, { t: 1, v: 0 }] } } }), "keyframe"],
    [projectText(project).replace('"v": 0.8', '"v": "x"'), "keyframe"],
  ])("that are damaged are refused with a reason", (text, reason) => {
    expect(() => parseProject(text)).toThrow(ProjectError);
    expect(() => parseProject(text)).toThrow(reason);
  });

  it("end where the last key is", () => {
    expect(endOf(project.score)).toBe(1);
  });
});
