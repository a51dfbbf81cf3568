// What the tunnel's benchmark is told to do, and what it prints.

export interface TunnelScale {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly idleAgents: readonly [number, number];
  /** Of `holdfast node`, with and without the agent. */
  readonly starts: number;
  readonly churn: {
    readonly nodes: number;
    readonly sessions: number;
    /** Until malloc and V8 have what they keep. */
    readonly warmRounds: number;
    readonly rounds: number;
  };
}

export interface TunnelContext {
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface TunnelRow {
  readonly title: string;
  readonly unit: string;
  readonly direct: number | undefined;
  readonly tunnel: number;
  readonly figure: string;
  /** Undefined where the figure is only printed. */
  readonly met: boolean | undefined;
}

export function row(
  title: string,
  unit: string,
  tunnel: number,
  more: { direct?: number; figure?: string; met?: boolean },
): TunnelRow {
  return { title, unit, tunnel, direct: more.direct, figure: more.figure ?? '', met: more.met };
}

/** One line for each row, and one that counts. */
export function tunnelTable(rows: readonly TunnelRow[]): string {
  const number = (value: number): string => value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
  const lines = [
    ['row', 'unit', 'tunnel', 'direct', 'ratio', 'to reach', 'met'],
    ...rows.map(({ title, unit, tunnel, direct, figure, met }) => [
      title,
      unit,
      number(tunnel),
      direct === undefined ? '' : number(direct),
      direct === undefined ? '' : number(tunnel / direct),
      figure,
      met === undefined ? '' : met ? 'yes' : 'NO',
    ]),
  ];
  const widths = (lines[0] ?? []).map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  const text = lines.map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const missed = rows.filter(({ met }) => met === false).length;
  return `${text.join('\n')}\n\nfigures: ${rows.filter(({ met }) => met === true).length} met, ${missed} missed\n`;
}
