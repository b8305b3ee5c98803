//! One gateway's figures over time at one step: a ring of slots, each the points of one span of time taken together.
//! Bounded: slots times columns, however long it runs; a point older than the ring is dropped.

/** How the points of one slot come to one value. */
export type Merge = "mean" | "max" | "min" | "last";

export class Ring {
  readonly #values: Float64Array;
  readonly #weights: Float64Array;
  /** Which span of time each slot holds; -1: none yet. */
  readonly #spans: Float64Array;
  #newest = -1;
  #oldest = Number.POSITIVE_INFINITY;

  constructor(
    readonly step: number,
    readonly slots: number,
    readonly merges: readonly Merge[],
  ) {
    this.#values = new Float64Array(slots * merges.length).fill(Number.NaN);
    this.#weights = new Float64Array(slots * merges.length);
    this.#spans = new Float64Array(slots).fill(-1);
  }

  /** The newest span that holds anything; -1: none. Spans count from 1970 in steps. */
  get newest(): number {
    return this.#newest;
  }

  /** The oldest span that holds anything; infinite: none. */
  get oldest(): number {
    return this.#newest < 0 ? this.#oldest : Math.max(this.#oldest, this.#newest - this.slots + 1);
  }

  spanOf(at_s: number): number {
    return Math.floor(at_s / this.step);
  }

  /** Adds one point, of one second. */
  add(at_s: number, point: readonly (number | null)[]): void {
    const slot = this.#slot(this.spanOf(at_s));
    if (slot < 0) return;
    for (const [column, value] of point.entries()) {
      if (value !== null) this.#merge(slot * this.merges.length + column, column, value);
    }
  }

  /** Fills one span from a history that has it whole, unless it was seen here whole already. */
  fill(at_s: number, point: readonly (number | null)[]): void {
    const slot = this.#slot(this.spanOf(at_s));
    if (slot < 0) return;
    for (const [column, value] of point.entries()) {
      const place = slot * this.merges.length + column;
      if (value === null || (this.#weights[place] ?? 0) >= this.step) continue;
      this.#values[place] = value;
      this.#weights[place] = this.step;
    }
  }

  /** Null where the span holds nothing in this column. */
  read(column: number, span: number): number | null {
    const slot = span % this.slots;
    if (span < 0 || this.#spans[slot] !== span) return null;
    const value = this.#values[slot * this.merges.length + column] ?? Number.NaN;
    return Number.isNaN(value) ? null : value;
  }

  has(span: number): boolean {
    return span >= 0 && this.#spans[span % this.slots] === span;
  }

  /** The slot of a span, emptied if it held an older one; -1 where the span is too old. */
  #slot(span: number): number {
    if (!Number.isSafeInteger(span) || span < 0 || span <= this.#newest - this.slots) return -1;
    const slot = span % this.slots;
    if (this.#spans[slot] !== span) {
      const from = slot * this.merges.length;
      this.#values.fill(Number.NaN, from, from + this.merges.length);
      this.#weights.fill(0, from, from + this.merges.length);
      this.#spans[slot] = span;
    }
    this.#newest = Math.max(this.#newest, span);
    this.#oldest = Math.min(this.#oldest, span);
    return slot;
  }

  #merge(place: number, column: number, value: number): void {
    const held = this.#values[place] ?? Number.NaN;
    const weight = this.#weights[place] ?? 0;
    this.#weights[place] = weight + 1;
    this.#values[place] = Number.isNaN(held) ? value : this.#merged(column, held, weight, value);
  }

  #merged(column: number, held: number, weight: number, value: number): number {
    switch (this.merges[column]) {
      case "max":
        return Math.max(held, value);
      case "min":
        return Math.min(held, value);
      case "last":
        return value;
      default:
        return held + (value - held) / (weight + 1);
    }
  }
}
