import { parseArgs } from 'node:util';
import { ROWS, type Row } from './relays/relay.js';
import { STREAM_KINDS, type StreamKind } from './streams/kinds.js';

export interface Options {
  rounds: number;
  /** Time of one cell. */
  seconds: number;
  /** Numbers of connections; each is a cell of its own. */
  connections: number[];
  rows: readonly Row[];
  /** File for the JSON result; absent: a new one in loadtest/results. */
  out?: string;
  profile: boolean;
}

/** What `--streams` asks for. */
export interface StreamOptions {
  /** Streams of each kind that are open at the same time. */
  streams: number;
  kinds: readonly StreamKind[];
  out?: string;
}

/** What `--plugins` asks for. */
export interface PluginOptions {
  plugins: true;
  /** Every case is measured once in each. */
  rounds: number;
  /** Time of one case in one round. */
  seconds: number;
  /** Texts of which a case contains one; empty for all. */
  only: readonly string[];
  out?: string;
}

/** What `--propagation` asks for. */
export interface PropagationOptions {
  propagation: true;
  /** Nodes that only follow, beside those that serve. */
  nodes: number;
  resources: number;
  /** Of each kind. */
  changes: number;
  out?: string;
}

/** What `--audit` asks for. */
export interface AuditOptions {
  audited: true;
  rounds: number;
  /** Time of one case in one round, with the plugin and once more without. */
  seconds: number;
  out?: string;
}

/** What `--swap` asks for. */
export interface SwapOptions {
  /** How many resources the configuration has. */
  swapped: number;
  out?: string;
}

/** What the user typed is wrong; the message says what would be right. */
export class UsageError extends Error {}

const MAX_ROUNDS = 100;
const MAX_SECONDS = 60;
const MAX_CONNECTIONS = 512;
const MAX_STREAMS = 100_000;

const DEFAULTS = { rounds: '5', seconds: '3', connections: '1,10,64' };
/** Rounds are short, so that what else the machine does meets all cases alike. */
const PLUGIN_DEFAULTS = { rounds: '15', seconds: '0.1' };
const AUDIT_QUICK = { rounds: '2', seconds: '1' };
const PLUGIN_QUICK = { rounds: '3', seconds: '0.05' };
const MIN_PLUGIN_SECONDS = 0.01;
const PROPAGATION_DEFAULTS = { nodes: '100', resources: '10000', changes: '100' };
const PROPAGATION_QUICK = { nodes: '20', resources: '1000', changes: '20' };
const MAX_NODES = 1_000;
const MIN_RESOURCES = 100;
const MAX_RESOURCES = 100_000;
const MAX_CHANGES = 10_000;
const QUICK = { rounds: '2', seconds: '0.5', connections: '10' };

export const HELP = `Compares what relays an MCP tools/call: nothing, nginx, and Sluice, in one run.

Usage: npm run bench -- [options]

  --rounds N            rounds; every cell is measured once in each (default ${DEFAULTS.rounds})
  --seconds N           time of one cell (default ${DEFAULTS.seconds})
  --connections N[,N]   numbers of connections, each with one call under way (default ${DEFAULTS.connections})
  --only TEXT[,TEXT]    only rows whose id contains one of the texts
  --streams N           instead of calls: the memory of N streams on which nothing happens, of each kind
  --plugins             instead of calls: what each plugin costs a call, in nanoseconds of one thread
  --audit               instead of calls: what audit records cost at 20,000 a second, and whether any are lost
  --propagation         instead of calls: a cluster, and how long a change takes to reach all of its nodes
  --nodes N             with it: nodes that only follow, beside three that serve (default ${PROPAGATION_DEFAULTS.nodes})
  --resources N         with it: resources of the configuration (default ${PROPAGATION_DEFAULTS.resources})
  --changes N           with it: changes of each kind (default ${PROPAGATION_DEFAULTS.changes})
  --swap N              instead of calls: what a configuration of N resources, and a change of it, cost a node
  --out FILE            where the JSON goes (default loadtest/results/<time>.json)
  --profile             afterwards, measure where Sluice's processor time goes
  --quick               a look in about 20 s: --rounds ${QUICK.rounds} --seconds ${QUICK.seconds} --connections ${QUICK.connections}
  --help                this text

Rows: ${idsOf(ROWS)}
Rows with --streams: ${idsOf(STREAM_KINDS)}

Examples:
  npm run bench -- --quick
  npm run bench -- --only direct-modern,nginx-modern,sluice-upstream-modern --connections 10
  npm run bench -- --only sluice-merged-modern --rounds 1 --profile
  npm run bench -- --streams 10000
  npm run bench -- --propagation --nodes 20
  npm run bench:micro -- --only ratelimit,authorize
  npm run bench -- --swap 10000
  npm run bench -- --audit --quick

Exit codes: 0 measured (slow or not), 1 something did not run or answered wrongly, 2 wrong usage, 130 interrupted.`;

/**
 * Reads the command line; `help` when it asks for that.
 * @throws UsageError
 */
export function readOptions(
  args: string[],
): Options | StreamOptions | PluginOptions | PropagationOptions | SwapOptions | AuditOptions | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  if (values.propagation) return readPropagationOptions(values);
  for (const name of ['nodes', 'resources', 'changes'] as const)
    if (values[name] !== undefined) throw new UsageError(`--${name} goes with --propagation`);
  if (values.swap !== undefined) return readSwapOptions(values, values.swap);
  if (values.audit) return readAuditOptions(values);
  if (values.plugins) return readPluginOptions(values);
  if (values.streams !== undefined) return readStreamOptions(values, values.streams);
  const defaults = values.quick ? QUICK : DEFAULTS;
  const connections = (values.connections ?? defaults.connections).split(',');
  return {
    rounds: readNumber('--rounds', values.rounds ?? defaults.rounds, 1, MAX_ROUNDS, true),
    seconds: readNumber('--seconds', values.seconds ?? defaults.seconds, 0.1, MAX_SECONDS, false),
    connections: [
      ...new Set(connections.map((text) => readNumber('--connections', text, 1, MAX_CONNECTIONS, true))),
    ],
    rows: readOnly(values.only, ROWS),
    out: values.out,
    profile: values.profile ?? false,
  };
}

function readStreamOptions(values: ReturnType<typeof parse>, streams: string): StreamOptions {
  for (const name of ['rounds', 'seconds', 'connections', 'profile', 'quick'] as const) {
    if (values[name] !== undefined)
      throw new UsageError(`--${name} is about calls: beside --streams there are --only and --out`);
  }
  return {
    streams: readNumber('--streams', streams, 1, MAX_STREAMS, true),
    kinds: readOnly(values.only, STREAM_KINDS),
    out: values.out,
  };
}

function readSwapOptions(values: ReturnType<typeof parse>, resources: string): SwapOptions {
  const { swap: _, out, ...others } = values;
  const [other] = Object.keys(others);
  if (other !== undefined) throw new UsageError(`--${other} is about calls: beside --swap there is --out`);
  return { swapped: readNumber('--swap', resources, MIN_RESOURCES, MAX_RESOURCES, true), out };
}

function readAuditOptions(values: ReturnType<typeof parse>): AuditOptions {
  for (const name of ['connections', 'only', 'profile', 'plugins', 'streams'] as const) {
    if (values[name] !== undefined)
      throw new UsageError(
        `--${name} is about others: beside --audit there are --rounds, --seconds, --quick and --out`,
      );
  }
  const defaults = values.quick ? AUDIT_QUICK : DEFAULTS;
  return {
    audited: true,
    rounds: readNumber('--rounds', values.rounds ?? defaults.rounds, 1, MAX_ROUNDS, true),
    seconds: readNumber('--seconds', values.seconds ?? defaults.seconds, 0.1, MAX_SECONDS, false),
    out: values.out,
  };
}

function readPluginOptions(values: ReturnType<typeof parse>): PluginOptions {
  for (const name of ['connections', 'profile', 'streams'] as const) {
    if (values[name] !== undefined)
      throw new UsageError(
        `--${name} is about a gateway: beside --plugins there are --rounds, --seconds, --only, --quick and --out`,
      );
  }
  const defaults = values.quick ? PLUGIN_QUICK : PLUGIN_DEFAULTS;
  return {
    plugins: true,
    rounds: readNumber('--rounds', values.rounds ?? defaults.rounds, 1, MAX_ROUNDS, true),
    seconds: readNumber(
      '--seconds',
      values.seconds ?? defaults.seconds,
      MIN_PLUGIN_SECONDS,
      MAX_SECONDS,
      false,
    ),
    only: values.only?.split(',').map((text) => text.trim()) ?? [],
    out: values.out,
  };
}

function readPropagationOptions(values: ReturnType<typeof parse>): PropagationOptions {
  for (const name of ['rounds', 'seconds', 'connections', 'only', 'profile', 'plugins', 'streams'] as const) {
    if (values[name] !== undefined)
      throw new UsageError(
        `--${name} is about one gateway: beside --propagation there are --nodes, --resources, --changes, --quick and --out`,
      );
  }
  const defaults = values.quick ? PROPAGATION_QUICK : PROPAGATION_DEFAULTS;
  const { nodes, resources, changes } = values;
  return {
    propagation: true,
    nodes: readNumber('--nodes', nodes ?? defaults.nodes, 1, MAX_NODES, true),
    resources: readNumber('--resources', resources ?? defaults.resources, MIN_RESOURCES, MAX_RESOURCES, true),
    changes: readNumber('--changes', changes ?? defaults.changes, 1, MAX_CHANGES, true),
    out: values.out,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        connections: { type: 'string' },
        only: { type: 'string' },
        streams: { type: 'string' },
        swap: { type: 'string' },
        out: { type: 'string' },
        audit: { type: 'boolean' },
        plugins: { type: 'boolean' },
        propagation: { type: 'boolean' },
        nodes: { type: 'string' },
        resources: { type: 'string' },
        changes: { type: 'string' },
        profile: { type: 'boolean' },
        quick: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function readNumber(name: string, text: string, min: number, max: number, whole: boolean): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max) || (whole && !Number.isInteger(value))) {
    throw new UsageError(`${name}: "${text}" is not a ${whole ? 'whole ' : ''}number from ${min} to ${max}`);
  }
  return value;
}

function readOnly<T extends { id: string }>(only: string | undefined, all: readonly T[]): readonly T[] {
  if (only === undefined) return all;
  const texts = only.split(',').map((text) => text.trim());
  for (const text of texts) {
    if (text === '' || !all.some(({ id }) => id.includes(text)))
      throw new UsageError(`--only: no row contains "${text}"; there are ${idsOf(all)}`);
  }
  return all.filter(({ id }) => texts.some((text) => id.includes(text)));
}

function idsOf(rows: readonly { id: string }[]): string {
  return rows.map(({ id }) => id).join(', ');
}
