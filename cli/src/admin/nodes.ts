/** Commands that look at the nodes. */
import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  DrainNodeResponseSchema,
  ListNodeEventsResponseSchema,
  ListNodesResponseSchema,
} from '@sluice/proto/admin';
import { type Node, NodeEventKind, NodeState, Presence } from '@sluice/proto/cluster';
import { EXIT } from '../exit-codes.js';
import { type Cell, printable } from '../terminal.js';
import type { CommandNamed } from './commands.js';
import { printMessage, printTable } from './output.js';
import { age, type Surroundings } from './surroundings.js';

/** The most that the server gives at once. */
const MAX_EVENT_COUNT = 1_000;

export async function nodes({ flags }: CommandNamed<'nodes'>, surroundings: Surroundings): Promise<number> {
  const response = await surroundings.client.fleet.listNodes({ region: flags.region ?? '' });
  const { output = 'table' } = flags;
  if (output === 'name')
    surroundings.out.write(response.nodes.map(({ hello }) => `${printable(hello?.node ?? '')}\n`).join(''));
  else if (output !== 'table') await printMessage(surroundings, output, ListNodesResponseSchema, response);
  else {
    const head = [
      'NODE',
      'REGION',
      'REVISION',
      'STATE',
      'SESSIONS',
      'REQUESTS',
      'MEMORY',
      'VERSION',
      'HEARD',
      '',
    ];
    const nowMs = surroundings.nowMs();
    printTable(
      surroundings,
      head,
      response.nodes.map((node) => nodeRow(node, nowMs, surroundings)),
    );
  }
  return EXIT.ok;
}

function nodeRow(node: Node, nowMs: number, { paint }: Pick<Surroundings, 'paint'>): Cell[] {
  const { hello, health, seen, wantedRevision } = node;
  const running = runningRevision(node);
  const behind = running < wantedRevision ? paint.yellow(`${running} of ${wantedRevision}`) : `${running}`;
  const load = health ? [health.sessions, health.requestsInFlight] : ['', ''];
  return [
    printable(hello?.node ?? ''),
    printable(hello?.region ?? ''),
    behind,
    stateOf(node, paint),
    ...load,
    health === undefined ? '' : `${Math.round(Number(health.residentBytes) / 2 ** 20)} MiB`,
    printable(hello?.version ?? ''),
    age(seen && timestampMs(seen), nowMs),
    remarkOn(node, paint),
  ];
}

/** What it refused last, or gives to some callers beside what it runs. */
function remarkOn({ acknowledgement, health }: Node, paint: Surroundings['paint']): string {
  const trial = health?.trial;
  const rejection = trial?.rejection ?? acknowledgement?.rejection;
  if (rejection !== undefined) return paint.red(printable(`refused: ${rejection.reason}`));
  if (trial === undefined) return '';
  return paint.yellow(`revision ${trial.position?.revision} for ${trial.principalsPercent} % of the callers`);
}

function runningRevision({ hello, health, acknowledgement }: Node): bigint {
  const acknowledged = acknowledgement?.rejection === undefined ? acknowledgement?.position?.revision : 0n;
  const said = [hello?.position?.revision, health?.position?.revision, acknowledged];
  return said.reduce<bigint>((most, each = 0n) => (each > most ? each : most), 0n);
}

const STATES: Readonly<Record<NodeState, string>> = {
  [NodeState.UNSPECIFIED]: '',
  [NodeState.WAITING]: 'waiting',
  [NodeState.READY]: 'ready',
  [NodeState.DRAINING]: 'draining',
  [NodeState.STOPPED]: 'stopped',
};

function stateOf({ presence, health }: Node, paint: Surroundings['paint']): string {
  if (presence === Presence.GONE) return paint.dim('gone');
  if (presence === Presence.UNKNOWN) return paint.red('unknown');
  const state = health?.state ?? NodeState.UNSPECIFIED;
  const text = STATES[state] ?? 'unknown';
  return state === NodeState.READY ? paint.green(text) : paint.yellow(text);
}

export async function drain(
  { node, flags }: CommandNamed<'drain'>,
  surroundings: Surroundings,
): Promise<number> {
  const response = await surroundings.client.fleet.drainNode({ node, reason: flags.reason ?? '' });
  const { output = 'table' } = flags;
  if (output !== 'table') await printMessage(surroundings, output, DrainNodeResponseSchema, response);
  else surroundings.out.write(`${printable(node)} was told to drain\n`);
  return EXIT.ok;
}

const EVENTS: Readonly<Record<NodeEventKind, string>> = {
  [NodeEventKind.UNSPECIFIED]: '',
  [NodeEventKind.JOINED]: 'joined',
  [NodeEventKind.LEFT]: 'left',
  [NodeEventKind.LOST]: 'lost',
  [NodeEventKind.FOUND]: 'found again',
  [NodeEventKind.APPLIED]: 'runs',
  [NodeEventKind.REJECTED]: 'refused',
  [NodeEventKind.DRAIN_ORDERED]: 'told to drain',
};

export async function events(
  { node, flags }: CommandNamed<'events'>,
  surroundings: Surroundings,
): Promise<number> {
  const response = await surroundings.client.fleet.listNodeEvents({
    node: node ?? '',
    pageSize: Math.min(flags.count, MAX_EVENT_COUNT),
  });
  const { output = 'table' } = flags;
  if (output !== 'table') await printMessage(surroundings, output, ListNodeEventsResponseSchema, response);
  else {
    const nowMs = surroundings.nowMs();
    printTable(
      surroundings,
      ['AGE', 'NODE', 'EVENT', 'REVISION', ''],
      response.events.map(({ time, node: name, kind, revision, detail }) => [
        age(time && timestampMs(time), nowMs),
        printable(name),
        EVENTS[kind] ?? '',
        revision === 0n ? '' : Number(revision),
        printable(detail),
      ]),
    );
  }
  return EXIT.ok;
}
