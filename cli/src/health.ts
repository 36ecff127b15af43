import type { UpstreamStatus } from '@sluice/data-plane';
import { EXIT } from './exit-codes.js';
import { alignColumns, type Cell, palette, printable, usesColour } from './terminal.js';

const ANSWER_LIMIT_MS = 5_000;
/** Far above the size of a report about a thousand upstreams. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** Where a command writes; a terminal when `isTTY`. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** The part of the gateway's answer to `GET /health` that this command reads. */
interface HealthReport {
  readonly status?: string;
  readonly version?: string;
  readonly upstreams: readonly UpstreamStatus[];
}

/**
 * Asks a gateway for its health and prints a table of its upstreams.
 *
 * @param address URL or `host:port`; a path such as `/mcp` is not needed and ignored
 * @returns the exit code: 0 when the gateway and all of its upstreams are ready
 */
export async function health(address: string, out: Output, err: Output): Promise<number> {
  const url = healthUrl(address);
  if (url === undefined) {
    err.write(`sluice: ${printable(address)} is not an address; give a URL such as http://127.0.0.1:8080\n`);
    return EXIT.usage;
  }
  let report: HealthReport;
  try {
    report = await fetchReport(url);
  } catch (error) {
    err.write(`sluice: no answer about health from ${url}: ${reasonOf(error)}\n`);
    if (isDistrusted(error)) err.write(TRUST_HINT);
    return EXIT.unhealthy;
  }
  return print(url, report, out);
}

function healthUrl(address: string): URL | undefined {
  const text = address.includes('://') ? address : `http://${address}`;
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
  return new URL('/health', url.origin);
}

async function fetchReport(url: URL): Promise<HealthReport> {
  const answer = await fetch(url, {
    headers: { Accept: 'application/json' },
    redirect: 'error',
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
  });
  const text = await readLimited(answer);
  const report = parseReport(text);
  // A gateway whose upstreams fail may answer 503 with its report; only an answer without one is none.
  if (report === undefined) {
    // A gateway answers so where `gateway.health` gives it another address for this.
    const why = answer.status === 404 ? 'is its health at an address of its own?' : 'is it a Sluice gateway?';
    throw new Error(`it answers HTTP ${answer.status} without a health report; ${why}`);
  }
  return report;
}

async function readLimited(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER_BYTES) throw new Error(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseReport(text: string): HealthReport | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const { upstreams } = value as { upstreams?: unknown };
    const valid =
      Array.isArray(upstreams) &&
      upstreams.every((upstream) => typeof upstream === 'object' && upstream !== null);
    return valid ? (value as HealthReport) : undefined;
  } catch {
    return undefined;
  }
}

function print(url: URL, report: HealthReport, out: Output): number {
  const paint = palette(usesColour(out));
  const { upstreams } = report;
  const readyCount = upstreams.filter(({ state }) => state === 'ready').length;
  const healthy = readyCount === upstreams.length;
  const version = report.version ? ` ${printable(report.version)}` : '';
  const summary = `${readyCount} of ${upstreams.length} upstreams ready`;
  out.write(`Sluice${version} at ${url.origin}: ${healthy ? paint.green(summary) : paint.red(summary)}\n`);
  if (upstreams.length > 0) {
    const head = ['UPSTREAM', 'KIND', 'STATE', 'REVISION', 'TOOLS', 'PROMPTS', 'RESOURCES', ''];
    const rows = alignColumns([head, ...upstreams.map((upstream) => upstreamRow(upstream, paint))]);
    out.write(`\n${rows.map((row, index) => (index === 0 ? paint.dim(row) : row)).join('\n')}\n`);
  }
  return healthy ? EXIT.ok : EXIT.unhealthy;
}

/** An upstream as a row: the counts stand at the right of their columns. */
function upstreamRow(upstream: UpstreamStatus, paint: ReturnType<typeof palette>): Cell[] {
  const { name, kind, state, revision, toolCount, promptCount, resourceCount, error } = upstream;
  const colour = { ready: paint.green, failed: paint.red }[state as string] ?? paint.yellow;
  const ready = state === 'ready';
  const count = (value: number): Cell => (ready ? Number(value) : '');
  return [
    printable(String(name)),
    printable(String(kind)),
    colour(printable(String(state))),
    printable(revision ?? ''),
    count(toolCount),
    count(promptCount),
    count(resourceCount),
    error ? printable(error) : '',
  ];
}

/** What went wrong in plain words: the innermost cause of a failed fetch is the one that says it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `nothing came within ${ANSWER_LIMIT_MS / 1000} seconds`;
  const { code, message } = innermostOf(error);
  const known: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'the host name is not known',
    ECONNRESET: 'the connection was cut',
    UND_ERR_SOCKET: 'the connection was closed without an answer; does it want https?',
  };
  return known[code] ?? (message || code);
}

/** What the verification of a certificate says when nobody vouches for it (OpenSSL, `X509_V_ERR_…`). */
const DISTRUST = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);
const TRUST_HINT =
  '  hint: name the file of the certificate, or of who signed it, to trust it: NODE_EXTRA_CA_CERTS=cert.pem\n';

function isDistrusted(error: unknown): boolean {
  return error instanceof Error && DISTRUST.has(innermostOf(error).code);
}

function innermostOf(error: Error): { code: string; message: string } {
  let innermost: Error & { code?: unknown } = error;
  while (innermost.cause instanceof Error) innermost = innermost.cause;
  return { code: typeof innermost.code === 'string' ? innermost.code : '', message: innermost.message };
}
