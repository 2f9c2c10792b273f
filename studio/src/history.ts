/** States to go back to and forward to again. */
export class History<T> {
  private past: T[] = [];
  private future: T[] = [];

  constructor(private readonly longest = 300) {}

  /** Keeps the state before an edit; what was undone can no longer be redone. */
  record(before: T): void {
    this.past.push(before);
    if (this.past.length > this.longest) this.past.shift();
    this.future = [];
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  /** Returns the state before the last edit, or `current` where there is none. */
  undo(current: T): T {
    const before = this.past.pop();
    if (before === undefined) return current;
    this.future.push(current);
    return before;
  }

  /** Returns the state after the edit that was undone last, or `current` where there is none. */
  redo(current: T): T {
    const after = this.future.pop();
    if (after === undefined) return current;
    this.past.push(current);
    return after;
  }

  clear(): void {
    this.past = [];
    this.future = [];
  }
}
