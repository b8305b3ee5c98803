//! A table that is read and walked with the keyboard: arrows move, Enter opens, headings sort.
//! While somebody points at it or walks it, its rows keep their order; figures go on.

import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { ROWS_MAX } from "../bounds.js";
import { type Direction, inOrder, sorted } from "../model/order.js";
import { Icon } from "./icon.js";

export interface Column<T> {
  readonly id: string;
  readonly head: string;
  /** A longer word for the heading. */
  readonly title?: string;
  readonly cell: (row: T) => ComponentChildren;
  /** What it is sorted by; without it the heading does not sort. */
  readonly by?: (row: T) => number | string | null;
  readonly isNumber?: boolean;
  /** `line`: where rows are cards, it has a line of its own. */
  readonly room?: "line";
}

export interface TableProps<T> {
  readonly caption: string;
  readonly rows: readonly T[];
  readonly rowKey: (row: T) => string;
  readonly columns: readonly Column<T>[];
  readonly selected?: string | null;
  readonly onOpen?: (row: T) => void;
  readonly rowClass?: (row: T) => string;
  /** What stands in place of rows. */
  readonly empty: ComponentChildren;
}

interface Sorting {
  readonly column: string;
  readonly direction: Direction;
}

export const Table = <T,>(props: TableProps<T>) => {
  const { caption, rows, rowKey, columns, empty } = props;
  const [sorting, setSorting] = useState<Sorting | null>(null);
  const held = useRef<readonly string[] | null>(null);
  const [isHeld, setHeld] = useState(false);
  const by = columns.find((column) => column.id === sorting?.column)?.by;
  const ordered = by === undefined || sorting === null ? rows : sorted(rows, by, sorting.direction);
  const shown = (held.current === null ? ordered : inOrder(ordered, rowKey, held.current)).slice(0, ROWS_MAX);
  const hold = () => {
    held.current ??= shown.map(rowKey);
    setHeld(true);
  };
  const letGo = () => {
    held.current = null;
    setHeld(false);
  };
  const sortBy = ({ id, isNumber }: Column<T>) => {
    letGo();
    const first: Direction = isNumber ? "desc" : "asc";
    if (sorting?.column !== id) setSorting({ column: id, direction: first });
    else if (sorting.direction === first)
      setSorting({ column: id, direction: first === "asc" ? "desc" : "asc" });
    else setSorting(null);
  };
  if (rows.length === 0) return <div class="empty">{empty}</div>;
  return (
    <div
      class="table-wrap"
      onPointerEnter={hold}
      onPointerLeave={letGo}
      onFocusCapture={hold}
      onBlurCapture={letGo}
    >
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Head key={column.id} column={column} sorting={sorting} onSort={() => sortBy(column)} />
            ))}
          </tr>
        </thead>
        <Rows {...props} shown={shown} />
      </table>
      <p class={isHeld ? "held" : "held off"}>
        {rows.length > ROWS_MAX
          ? `the first ${ROWS_MAX} of ${rows.length.toLocaleString("en-US")} rows; `
          : ""}
        order held while you are in it
      </p>
    </div>
  );
};

const Head = <T,>(props: { column: Column<T>; sorting: Sorting | null; onSort: () => void }) => {
  const { column, sorting, onSort } = props;
  const direction = sorting?.column === column.id ? sorting.direction : null;
  const kind = `${column.isNumber ? "number" : ""} ${column.room ?? ""}`;
  if (column.by === undefined) {
    return (
      <th scope="col" class={kind} title={column.title}>
        {column.head}
      </th>
    );
  }
  return (
    <th
      scope="col"
      class={kind}
      title={column.title}
      aria-sort={direction === null ? "none" : direction === "asc" ? "ascending" : "descending"}
    >
      <button type="button" class="sort" onClick={onSort}>
        {column.head}
        <span class={direction === null ? "sort-mark off" : "sort-mark"}>
          <Icon name={direction === "asc" ? "up" : "down"} />
        </span>
      </button>
    </th>
  );
};

const Rows = <T,>(props: TableProps<T> & { shown: readonly T[] }) => {
  const { shown, rowKey, columns, selected, onOpen, rowClass } = props;
  const [active, setActive] = useState<string | null>(null);
  const keys = shown.map(rowKey);
  const stop = active !== null && keys.includes(active) ? active : (keys[0] ?? null);
  const walk = (event: KeyboardEvent, row: T, i: number) => {
    const body = (event.currentTarget as HTMLElement).parentElement;
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: keys.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") onOpen?.(row);
    else if (to === undefined) return;
    else (body?.children[Math.min(keys.length - 1, Math.max(0, to))] as HTMLElement | undefined)?.focus();
    event.preventDefault();
  };
  const open = onOpen;
  return (
    <tbody>
      {shown.map((row, i) => {
        const key = keys[i] as string;
        const behaviour = open && {
          tabIndex: key === stop ? 0 : -1,
          onClick: () => open(row),
          onFocus: () => setActive(key),
          onKeyDown: (event: KeyboardEvent) => walk(event, row, i),
          "aria-selected": selected === key,
        };
        const kind = `${open ? "opens" : ""} ${selected === key ? "selected" : ""} ${rowClass?.(row) ?? ""}`;
        return (
          <tr key={key} data-key={key} class={kind} {...behaviour}>
            {columns.map((column, n) => (
              <td
                key={column.id}
                data-label={column.head}
                class={`${column.isNumber ? "number" : ""} ${column.room ?? ""} ${n === 0 ? "first" : ""}`}
              >
                {column.cell(row)}
              </td>
            ))}
          </tr>
        );
      })}
    </tbody>
  );
};
