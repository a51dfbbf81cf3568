// The fleet for people: one line for each node, or one node with all that is known. Pure.
import { ageText } from '../kube/age-text.ts';
import type { FleetRow } from './rows.ts';

const none = '-';

/** `now`: milliseconds since 1970. */
export function fleetText(rows: readonly FleetRow[], now: number): string {
  if (rows.length === 0) return 'No node of this cluster has Holdfast: holdfast convert, on a node.';
  const lines = [
    ['NODE', 'POOL', 'VERSION', 'CLOUD', 'SINCE', 'CACHE', 'LISTS', 'WAITING', 'ROUND TRIP', 'VERDICT'],
    ...rows.map((row) => [
      row.node,
      row.pool ?? none,
      row.version ?? none,
      row.cloud,
      row.since === undefined ? none : ageText(row.since, now),
      row.report === undefined ? none : mebibytes(row.report.bytes),
      row.report === undefined ? none : String(row.report.lists),
      row.report === undefined ? none : String(row.report.waiting),
      row.report === undefined ? none : `${row.report.roundTripMs} ms`,
      row.why === '' ? row.verdict : `${row.verdict}: ${row.why}`,
    ]),
  ];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function nodeText(row: FleetRow, now: number): string {
  const { report } = row;
  const rows: [string, string][] = [
    ['node', row.node],
    ['pool', row.pool ?? 'none'],
    ['version', row.version ?? 'unknown'],
    ['cloud', row.since === undefined ? row.cloud : `${row.cloud} for ${ageText(row.since, now)}, since ${row.since}`],
  ];
  if (report !== undefined)
    rows.push(
      [
        'kept',
        `${report.objects} objects in ${report.lists} lists, ${report.tokens} tokens, ${mebibytes(report.bytes)}`,
      ],
      ['waiting', `${report.waiting} events and statuses for the cloud`],
      ['round trip', `${report.roundTripMs} ms`],
    );
  rows.push(['verdict', row.why === '' ? row.verdict : `${row.verdict}: ${row.why}`]);
  const note =
    report === undefined || row.cloud === 'in reach' ? '' : '\nMeasures are those from before it was cut off.';
  return rows.map(([name, text]) => `${name.padEnd(13)}${text}`).join('\n') + note;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
