// Which views of service accounts have to go when there are too many of them, or too much in them. Pure.

export interface ViewBounds {
  readonly maxViews: number;
  readonly maxBytes: number;
}

export interface BoundedView {
  readonly bytes: number;
  readonly watched: boolean;
  /** Monotonic, milliseconds. */
  readonly usedMs: number;
}

/** Those to drop, the one used longest ago first; views that are watched are in use, and go last. */
export function beyondBounds<T extends BoundedView>(views: readonly T[], bounds: ViewBounds): T[] {
  const order = views.toSorted((a, b) => Number(a.watched) - Number(b.watched) || a.usedMs - b.usedMs);
  let count = views.length;
  let bytes = views.reduce((sum, view) => sum + view.bytes, 0);
  const dropped: T[] = [];
  for (const view of order) {
    if (count <= bounds.maxViews && bytes <= bounds.maxBytes) break;
    dropped.push(view);
    count -= 1;
    bytes -= view.bytes;
  }
  return dropped;
}
