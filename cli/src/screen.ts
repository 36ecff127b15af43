import type { UpstreamStatus } from '@sluice/data-plane';
import { alignColumns, type Palette, palette, printable } from './terminal.js';

/** The revision that the request on the screen speaks. */
const REVISION = '2026-07-28';
/** Paths of single upstreams that are listed before the list is cut short. */
const MAX_LISTED_UPSTREAMS = 20;

/** What the start-up screen tells. */
export interface ScreenContent {
  readonly version: string;
  /** Base URLs: of clients, and of health and metrics where they have an address of their own. */
  readonly url: string;
  readonly healthUrl?: string | undefined;
  readonly metricsUrl?: string | undefined;
  /** Absent: there is no admin API. */
  readonly adminUrl?: string | undefined;
  readonly upstreams: readonly UpstreamStatus[];
}

/**
 * The start-up screen: where the gateway is, what stands behind it, and two things to paste. The `curl` command
 * is one physical line, so that it survives a triple click and a pipe.
 */
export function renderScreen(content: ScreenContent, colour: boolean): string {
  const paint = palette(colour);
  const base = reachable(content.url);
  const sections = [
    [`${paint.bold(`Sluice ${content.version}`)} serves on ${paint.cyan(base)}`],
    section('Endpoints', endpointLines(content, base), paint),
    section('Upstreams', upstreamLines(content.upstreams, paint), paint),
    section('Try it', [curlCommand(base)], paint),
    section('Paste into an MCP client', clientConfiguration(base).split('\n'), paint),
  ];
  return `\n${sections.map((lines) => lines.map((line) => `  ${line}`.trimEnd()).join('\n')).join('\n\n')}\n\n`;
}

function section(title: string, lines: readonly string[], paint: Palette): string[] {
  return [paint.bold(title), ...lines.map((line) => `  ${line}`)];
}

function endpointLines(content: ScreenContent, base: string): string[] {
  const listed = content.upstreams.slice(0, MAX_LISTED_UPSTREAMS);
  const more = content.upstreams.length - listed.length;
  return alignColumns([
    ['all upstreams as one', `${base}/mcp`],
    ...listed.map(({ name }, index) => [index === 0 ? 'one upstream, as it is' : '', `${base}/mcp/${name}`]),
    ...(more > 0 ? [['', `and ${more} more`]] : []),
    ['health', `${reachable(content.healthUrl ?? content.url)}/health`],
    ['metrics', `${reachable(content.metricsUrl ?? content.url)}/metrics`],
    ...(content.adminUrl === undefined ? [] : [['admin', `${reachable(content.adminUrl)}/api/v1/status`]]),
  ]);
}

function upstreamLines(upstreams: readonly UpstreamStatus[], paint: Palette): string[] {
  if (upstreams.length === 0) return [paint.yellow('none: the configuration has no upstreams')];
  const ready = upstreams.filter(({ state }) => state === 'ready');
  return alignColumns(
    upstreams.map((upstream) => [
      printable(upstream.name),
      upstream.kind,
      stateText(upstream, paint),
      ...(upstream.state === 'ready' ? offerCells(upstream, ready) : []),
    ]),
  ).flatMap((line, index) => {
    const error = upstreams[index]?.error;
    return error ? [line, `  ${paint.red(printable(error))}`] : [line];
  });
}

function stateText({ state }: UpstreamStatus, paint: Palette): string {
  if (state === 'ready') return paint.green('ready');
  return state === 'failed' ? paint.red('failed') : paint.yellow('starting');
}

/** What the upstreams that are ready offer; numbers stand one below the other. */
function offerCells(upstream: UpstreamStatus, ready: readonly UpstreamStatus[]): string[] {
  const count = (key: 'toolCount' | 'promptCount' | 'resourceCount', word: string) => {
    const width = Math.max(...ready.map((other) => String(other[key]).length));
    return `${String(upstream[key]).padStart(width)} ${word}${upstream[key] === 1 ? '' : 's'}`;
  };
  return [
    printable(upstream.revision ?? ''),
    count('toolCount', 'tool'),
    count('promptCount', 'prompt'),
    count('resourceCount', 'resource'),
  ];
}

/** A list request of {@link REVISION} with every header and field that the revision requires. */
function curlCommand(base: string): string {
  const body = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/list',
    params: {
      _meta: {
        'io.modelcontextprotocol/protocolVersion': REVISION,
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    },
  };
  const headers = [
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `MCP-Protocol-Version: ${REVISION}`,
    `Mcp-Method: ${body.method}`,
  ];
  return [
    'curl -s',
    ...headers.map((header) => `-H '${header}'`),
    `-d '${JSON.stringify(body)}'`,
    `${base}/mcp`,
  ].join(' ');
}

function clientConfiguration(base: string): string {
  return `{\n  "mcpServers": {\n    "sluice": { "type": "http", "url": "${base}/mcp" }\n  }\n}`;
}

/** A URL that works on this machine: an address that stands for every interface is not one to connect to. */
function reachable(url: string): string {
  const parsed = new URL(url);
  if (parsed.hostname === '0.0.0.0') parsed.hostname = '127.0.0.1';
  if (parsed.hostname === '[::]') parsed.hostname = '[::1]';
  return parsed.origin;
}
