/** How the process is, for whoever watches over it: `/live`, `/ready`, `/health` and `/metrics` on an address of their own. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const REQUEST_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS_COUNT = 100;

/** What the process says of itself. */
export interface ProcessReport {
  /** What it waits for, before it serves; undefined when it serves. */
  readonly waitsFor: string | undefined;
  /** What is wrong while it serves all the same. */
  readonly troubles: readonly string[];
  /** More, for people: shown as it is. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly metrics: readonly Metric[];
}

export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly values: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
}

export interface ProcessDoors {
  /** `host:port`, with the port that was chosen. */
  readonly address: string;
  close(): Promise<void>;
}

/** @throws Error of the system when it cannot be listened on */
export async function openProcessDoors(
  { host, port }: { readonly host: string; readonly port: number },
  report: () => ProcessReport,
): Promise<ProcessDoors> {
  const server = createServer((request, response) => answer(request, response, report));
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS_COUNT;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${bound.port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(
  { method, url = '' }: IncomingMessage,
  response: ServerResponse,
  report: () => ProcessReport,
): void {
  const json = (status: number, body: object) =>
    send(response, status, 'application/json', `${JSON.stringify(body)}\n`);
  if (method !== 'GET' && method !== 'HEAD') return json(405, { error: 'only GET' });
  const [path] = url.split('?');
  const { waitsFor, troubles, details, metrics } = report();
  switch (path) {
    case '/live':
      return json(200, { status: 'ok' });
    case '/ready':
      return waitsFor === undefined
        ? json(200, { status: 'ready' })
        : json(503, { status: 'waiting', reason: waitsFor });
    case '/health': {
      const status = waitsFor !== undefined ? 'waiting' : troubles.length > 0 ? 'degraded' : 'ok';
      return json(200, { status, ...(waitsFor && { reason: waitsFor }), troubles, ...details });
    }
    case '/metrics':
      return send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', metricsText(metrics));
    default:
      return json(404, { error: 'there are /live, /ready, /health and /metrics' });
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  response.end(body);
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
function metricsText(metrics: readonly Metric[]): string {
  const lines = metrics.flatMap(({ name, help, type, values }) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...values.map(({ labels = {}, value }) => `${name}${labelsText(labels)} ${value}`),
  ]);
  return `${lines.join('\n')}\n`;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
