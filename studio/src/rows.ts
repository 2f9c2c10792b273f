/** Which rows the timeline has: groups, and the lanes of those that are open. */

import { EMOTIONS, GAZE_AXES, HEAD_ANGLES, type LaneId, keysOf, usedLanes } from "./score";
import type { State, Unit } from "./store";
import { TEXT } from "./text";

export interface LaneRow {
  readonly kind: "lane";
  readonly lane: LaneId;
  readonly group: string;
  readonly label: string;
  readonly code: string;
  readonly hint: string;
  /** Sides that the unit may be split into; of a side, those it may be joined from. */
  readonly sides: readonly string[];
  /** The whole unit, for lanes of units. */
  readonly unit: string;
}

export interface GroupRow {
  readonly kind: "group";
  readonly group: string;
  readonly isOpen: boolean;
  readonly lanes: readonly LaneId[];
  readonly used: number;
}

export type Row = LaneRow | GroupRow;

export const GROUPS = ["emotion", "brow", "eye", "nose", "cheek", "mouth", "jaw", "gaze", "head"] as const;
const SIDE = /^(AU\d+)([LRTB])$/;
const SIDE_NAMES: Record<string, string> = { L: TEXT.left, R: TEXT.right, T: TEXT.upper, B: TEXT.lower };
const ONLY_IN_TRACKS = /in tracks only/;

const plain = (name: string): string => name.replaceAll("_", " ");

/** Returns the rows, top to bottom. */
export function rowsOf(state: State): Row[] {
  const used = new Set(usedLanes(state.score));
  const isSearching = state.search.trim() !== "";
  const rows: Row[] = [];
  for (const group of GROUPS) {
    const all = lanesOf(state, group);
    const lanes = all.filter((row) => (!state.isOnlyUsed || used.has(row.lane)) && matches(row, state));
    if (!lanes.length && (state.isOnlyUsed || isSearching || !all.length)) continue;
    const isOpen = isSearching || state.openGroups.includes(group);
    rows.push({ kind: "group", group, isOpen, lanes: all.map((row) => row.lane), used: all.filter((row) => used.has(row.lane)).length });
    if (isOpen) rows.push(...lanes);
  }
  return rows;
}

function matches(row: LaneRow, state: State): boolean {
  const words = state.search.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const unit = state.units.find((one) => one.code === row.unit);
  const others = unit ? [...unit.other_names, unit.moves, unit.muscle].join(" ") : "";
  const text = `${row.code} ${row.label} ${TEXT.groups[row.group] ?? ""} ${others}`.toLowerCase();
  return words.every((word) => (/^au\d+$/.test(word) ? row.code.toLowerCase().replace(/[lrtb]$/, "") === word : text.includes(word)));
}

function lanesOf(state: State, group: string): LaneRow[] {
  if (group === "emotion") return EMOTIONS.map((name) => fixed(`emotion:${name}`, group));
  if (group === "head") return HEAD_ANGLES.map((name) => fixed(`head:${name}`, group));
  if (group === "gaze") return GAZE_AXES.map((name) => fixed(`gaze:${name}`, group));
  return state.units.filter((unit) => unit.region === group && !isSide(unit.code, state.units)).flatMap((unit) => unitRows(state, unit, group));
}

const fixed = (lane: LaneId, group: string): LaneRow => ({
  kind: "lane",
  lane,
  group,
  label: TEXT.lanes[lane] ?? lane,
  code: "",
  hint: TEXT.laneHints[lane] ?? (group === "emotion" ? TEXT.emotionsShareTimes : ""),
  sides: [],
  unit: "",
});

/** Whether a code is a side of a unit that also exists as a whole. */
function isSide(code: string, units: readonly Unit[]): boolean {
  const whole = SIDE.exec(code)?.[1];
  return whole !== undefined && units.some((unit) => unit.code === whole);
}

function unitRows(state: State, unit: Unit, group: string): LaneRow[] {
  const sides = state.units.map((one) => one.code).filter((code) => SIDE.exec(code)?.[1] === unit.code);
  const isSplit = sides.length > 0 && (state.splitUnits.includes(unit.code) || sides.some((side) => keysOf(state.score, `unit:${side}`).length));
  const codes = isSplit ? sides : [unit.code];
  return codes
    .map((code): LaneRow => {
      const side = code === unit.code ? "" : ` ${SIDE_NAMES[code.slice(-1)] ?? ""}`;
      const hint = `${unit.moves}${unit.muscle ? ` (${unit.muscle})` : ""}`;
      return { kind: "lane", lane: `unit:${code}`, group, label: plain(unit.name) + side, code, hint, sides, unit: unit.code };
    })
    .filter((row) => !ONLY_IN_TRACKS.test(unit.moves) || keysOf(state.score, row.lane).length > 0);
}

/** Returns the group of a lane. */
export function groupOf(state: State, lane: LaneId): string {
  return GROUPS.find((group) => lanesOf(state, group).some((row) => row.lane === lane)) ?? "";
}
