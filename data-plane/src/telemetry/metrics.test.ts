import { expect, it } from 'vitest';
import { Metrics } from './metrics.js';

const gauges = {
  sessions: () => 3,
  connections: () => 0,
  requestsInFlight: () => 0,
  parkedCalls: () => 0,
  upstreams: () => [{ name: 'files', up: true, tools: 7 }],
};

const linesOf = async (metrics: Metrics, name: string) =>
  (await metrics.text()).split('\n').filter((line) => line.startsWith(name));

it('counts requests, errors and times of each endpoint and method', async () => {
  const metrics = new Metrics(gauges, false);
  metrics.ended('files', 'tools/call', 200, 0, 0.002);
  metrics.ended('files', 'tools/call', 200, -32602, 0.2);
  metrics.ended('*', 'tools/list', 499, 0, 100);
  expect(await linesOf(metrics, 'sluice_requests_total')).toEqual([
    'sluice_requests_total{endpoint="files",method="tools/call",status="200"} 2',
    'sluice_requests_total{endpoint="*",method="tools/list",status="499"} 1',
  ]);
  expect(await linesOf(metrics, 'sluice_errors_total')).toEqual([
    'sluice_errors_total{endpoint="files",method="tools/call",code="-32602"} 1',
  ]);
  const seconds = await linesOf(metrics, 'sluice_request_duration_seconds');
  expect(seconds).toContain(
    'sluice_request_duration_seconds_bucket{le="0.0025",endpoint="files",method="tools/call"} 1',
  );
  expect(seconds).toContain(
    'sluice_request_duration_seconds_bucket{le="+Inf",endpoint="*",method="tools/list"} 1',
  );
  expect(await linesOf(metrics, 'sluice_sessions_active')).toEqual(['sluice_sessions_active 3']);
});

it('gives an upstream that invents error codes no more than so many series', async () => {
  const metrics = new Metrics(gauges, false);
  for (let code = 1; code <= 1_000; code++) metrics.ended('files', 'tools/call', 200, code, 0);
  metrics.ended('files', 'tools/call', 200, 1, 0);
  const lines = await linesOf(metrics, 'sluice_errors_total');
  expect(lines).toHaveLength(51);
  expect(lines).toContain('sluice_errors_total{endpoint="files",method="tools/call",code="other"} 950');
  expect(lines).toContain('sluice_errors_total{endpoint="files",method="tools/call",code="1"} 2');
});
