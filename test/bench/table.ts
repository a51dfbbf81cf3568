// The report: pure functions from samples to a table for people and to a document for programs.
import type { Row } from './rows.ts';
import type { Samples, Summaries, Summary } from './samples.ts';
import { variants } from './ways.ts';

export interface ReportRow {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly measured: Summaries;
  /** The hub's median by that of Go's proxy, or of a direct connection where the proxy was not measured. */
  readonly ratio?: { readonly to: string; readonly value: number };
  readonly figure?: { readonly text: string; readonly met: boolean | null };
}

/** Rows that were measured, and those with a figure that were not: a figure that nobody looked at is not met. */
export function report(rows: readonly Row[], samples: Samples): ReportRow[] {
  const known = new Set(rows.map(({ id }) => id));
  for (const id of samples.rows()) if (!known.has(id)) throw new TypeError(`no row ${id}`);
  return rows.flatMap((row) => {
    const measured = samples.summaries(row.id);
    if (Object.keys(measured).length === 0 && row.figure === undefined) return [];
    const ratio = ratioOf(measured);
    return [
      {
        id: row.id,
        title: row.title,
        unit: row.unit,
        measured,
        ...(ratio === undefined ? {} : { ratio }),
        ...(row.figure === undefined
          ? {}
          : { figure: { text: row.figure.text, met: row.figure.isMet(measured) ?? null } }),
      },
    ];
  });
}

export function countFigures(rows: readonly ReportRow[]): { met: number; missed: number; notMeasured: number } {
  const verdicts = rows.flatMap(({ figure }) => (figure === undefined ? [] : [figure.met]));
  return {
    met: verdicts.filter((met) => met === true).length,
    missed: verdicts.filter((met) => met === false).length,
    notMeasured: verdicts.filter((met) => met === null).length,
  };
}

/** Cells are `median (min–max)`, the range only when there is one. */
export function table(rows: readonly ReportRow[], digitsOf: (id: string) => number): string {
  const lines = [
    ['row', 'unit', ...variants, 'ratio', 'to reach', 'met'],
    ...rows.map((row) => [
      row.title,
      row.unit,
      ...variants.map((variant) => cell(row.measured[variant], digitsOf(row.id))),
      row.ratio === undefined ? '' : `${row.ratio.value.toFixed(2)} × ${row.ratio.to}`,
      row.figure?.text ?? '',
      row.figure === undefined ? '' : verdict(row.figure.met),
    ]),
  ];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  const format = (line: readonly string[]): string =>
    line
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const [head = [], ...body] = lines;
  return [format(head), widths.map((width) => '─'.repeat(width)).join('  '), ...body.map(format)].join('\n');
}

function verdict(met: boolean | null): string {
  if (met === null) return 'not measured';
  return met ? 'yes' : 'NO';
}

function cell(summary: Summary | undefined, digits: number): string {
  if (summary === undefined) return '–';
  const text = (value: number): string => value.toFixed(digits);
  if (summary.samples.length === 1) return text(summary.median);
  return `${text(summary.median)} (${text(summary.min)}–${text(summary.max)})`;
}

function ratioOf(measured: Summaries): ReportRow['ratio'] {
  const hub = measured.hub;
  const base = measured['go-proxy'] === undefined ? 'direct' : 'go-proxy';
  const other = measured[base];
  if (hub === undefined || other === undefined || other.median === 0) return undefined;
  return { to: base === 'go-proxy' ? 'go' : 'direct', value: hub.median / other.median };
}
