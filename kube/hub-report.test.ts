import { hubReportText, readHubReport, type HubReport } from './hub-report.ts';

const report: HubReport = {
  version: '0.1.0',
  cloudSince: '2026-01-01T00:00:00.000Z',
  lists: 14,
  objects: 347,
  bytes: 1_234_567,
  tokens: 3,
  waiting: 0,
  roundTripMs: 12.3,
};

test('a report is read as it was written, with its measures rounded', () => {
  expect(readHubReport(hubReportText(report))).toEqual({ ...report, objects: 350, bytes: 1_200_000, roundTripMs: 12 });
  expect(hubReportText({ ...report, objects: 352, roundTripMs: 11.6 })).toBe(hubReportText(report));
  expect(hubReportText(report).length).toBeLessThan(160);
});

test.each([
  ['nothing', undefined],
  ['no JSON', '{'],
  ['null', 'null'],
  ['a number that is none', hubReportText(report).replace('14', '"14"')],
  ['a version with an escape sequence', hubReportText({ ...report, version: '\u001b[31m' })],
  ['a time that is none', hubReportText({ ...report, cloudSince: 'soon' })],
  ['more than a report can be', `${hubReportText(report)}${' '.repeat(1_000)}`],
])('%s is no report', (_, text) => {
  expect(readHubReport(text)).toBeUndefined();
});
