import { hostname } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Example } from './command-line.js';
import type { NodeFlags } from './node-flags.js';
import { clusterName, listed, replicas } from './option-values.js';

export interface NodeActions {
  dataPlane(flags: NodeFlags): Promise<number>;
}

export const NODE_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  'data-plane': [
    [
      'sluice data-plane --control-plane 10.0.0.2:7080 --node eu-1 --state-dir /var/lib/sluice',
      'serve what the cluster has, and start again when nobody can be asked',
    ],
    [
      'sluice data-plane --control-plane cp-1:7080 --control-plane cp-2:7080 --nats nats://nats:4222 --region eu',
      'hear of changes at once, whichever control plane lives',
    ],
    [
      'sluice data-plane --control-plane cp:7080 --nats tls://nats:4222 --nats-ca ca.pem --key-file /run/secrets/cluster',
      'share sessions with the other nodes of the cluster, which have the same key',
    ],
    [
      'sluice data-plane --control-plane cp:7080 --tls-ca ca.pem --token-file /run/secrets/node',
      'encrypted, and with a token that says which node this is',
    ],
  ],
};

const NODE_NAME = /^[A-Za-z0-9_-]{1,63}$/;

/** The options that `sluice serve` has too. */
export interface SharedOptions {
  readonly wholeNumber: (what: string, min: number, max: number) => (text: string) => number;
  readonly logLevel: () => Option;
  readonly logFormat: () => Option;
  readonly maxPort: number;
  readonly maxWorkers: number;
}

export function addDataPlaneCommand(
  program: Command,
  actions: NodeActions,
  finish: (exitCode: number) => void,
  { wholeNumber, logLevel, logFormat, maxPort, maxWorkers }: SharedOptions,
): void {
  const own = (flags: string, meaning: string, variable: string) =>
    new Option(flags, meaning).env(`SLUICE_NODE_${variable}`);
  program
    .command('data-plane')
    .summary('run a node of a cluster')
    .description(
      'Runs a node that serves what the control plane of its cluster has. It begins with the configuration that it ' +
        'kept in its state folder, serves, and then asks for news; without one it waits, and says at /ready for what. ' +
        'Changes are taken while it runs. The control plane may be away: nothing changes then, and everything is served.',
    )
    .addOption(
      own(
        '--control-plane <address>',
        'host:port of a control plane; may be given several times',
        'CONTROL_PLANE',
      )
        .argParser(listed)
        .makeOptionMandatory(),
    )
    .addOption(
      own('--node <name>', 'the name of this node, unique in the cluster', 'NAME')
        .argParser(nodeName)
        .default(defaultName(), 'the name of the machine'),
    )
    .addOption(
      own('--region <name>', 'the region that it runs in; it gets what belongs there', 'REGION').default(''),
    )
    .addOption(
      own(
        '--token-file <file>',
        'what proves which node it is; else the variable SLUICE_NODE_TOKEN',
        'TOKEN_FILE',
      ),
    )
    .addOption(
      own('--tls', 'encrypt what goes to the control plane, trusting the authorities of the system', 'TLS'),
    )
    .addOption(own('--tls-ca <file>', 'the same, trusting this authority (PEM)', 'TLS_CA'))
    .addOption(
      own('--tls-cert <file>', 'the certificate that it shows to the control plane (PEM)', 'TLS_CERT'),
    )
    .addOption(own('--tls-key <file>', 'the key of that certificate (PEM)', 'TLS_KEY'))
    .addOption(
      own(
        '--nats <url>',
        'NATS, over which changes come at once and nodes share sessions; may be given several times',
        'NATS',
      ).argParser(listed),
    )
    .addOption(
      own('--nats-credentials <file>', 'the credentials of a user of NATS (.creds)', 'NATS_CREDENTIALS'),
    )
    .addOption(own('--nats-ca <file>', 'the authority that NATS is trusted by (PEM)', 'NATS_CA'))
    .addOption(own('--nats-cert <file>', 'the certificate that it shows to NATS (PEM)', 'NATS_CERT'))
    .addOption(own('--nats-key <file>', 'the key of that certificate (PEM)', 'NATS_KEY'))
    .addOption(
      own(
        '--nats-replicas <number>',
        'how many NATS servers keep a copy of what is shared; the same at all nodes, 3 where NATS is a cluster',
        'NATS_REPLICAS',
      )
        .argParser(replicas)
        .default(1),
    )
    .addOption(
      own('--cluster <name>', 'the name of the cluster, which several may have on one NATS', 'CLUSTER')
        .argParser(clusterName)
        .default('default'),
    )
    .addOption(
      own(
        '--redis <url>',
        'Redis that keeps the limits which nodes share, redis:// or rediss://; default NATS',
        'REDIS',
      ).argParser(redisUrl),
    )
    .addOption(
      own(
        '--key-file <file>',
        'the secret that all nodes of the cluster seal tokens with, 32 bytes or more; else the variable SLUICE_NODE_KEY',
        'KEY_FILE',
      ),
    )
    .addOption(
      own('--state-dir <folder>', 'folder for the last configuration and what plugins store', 'STATE_DIR'),
    )
    .addOption(own('--host <address>', 'address to listen on for clients', 'HOST').default('127.0.0.1'))
    .addOption(
      own('-p, --port <number>', 'TCP port for clients; 0 lets the system choose', 'PORT')
        .argParser(wholeNumber('a port', 0, maxPort))
        .default(8080),
    )
    .addOption(
      own('--workers <number>', 'worker threads that serve', 'WORKERS')
        .argParser(wholeNumber('a number of workers', 1, maxWorkers))
        .default(1),
    )
    .addOption(
      own('--listener <kind>', 'what listens: uws is faster, node runs everywhere', 'LISTENER')
        .choices(['auto', 'uws', 'node'])
        .default('auto'),
    )
    .addOption(own('--listen-cert <file>', 'the certificate that clients see (PEM)', 'LISTEN_CERT'))
    .addOption(own('--listen-key <file>', 'the key of that certificate (PEM)', 'LISTEN_KEY'))
    .addOption(
      own('--insecure', 'listen beyond this machine although nothing authenticates clients', 'INSECURE'),
    )
    .addOption(logLevel().env('SLUICE_NODE_LOG_LEVEL'))
    .addOption(logFormat().env('SLUICE_NODE_LOG_FORMAT'))
    .action(async (flags: NodeFlags, command: Command) => {
      const wrong = contradiction(flags);
      if (wrong !== undefined) command.error(`error: ${wrong}`);
      finish(await actions.dataPlane(flags));
    });
}

/** What cannot be so together; undefined when nothing is. */
function contradiction({
  controlPlane,
  tlsCert,
  tlsKey,
  nats,
  natsCert,
  natsKey,
  redis,
  listenCert,
  listenKey,
}: NodeFlags): string | undefined {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) return '--tls-cert and --tls-key belong together';
  if ((listenCert === undefined) !== (listenKey === undefined))
    return '--listen-cert and --listen-key belong together';
  if ((natsCert === undefined) !== (natsKey === undefined))
    return '--nats-cert and --nats-key belong together';
  if (redis !== undefined && nats === undefined) return '--redis is for nodes that share, which need --nats';
  const bad = controlPlane.find((address) => !/^(?:\[[0-9A-Fa-f:.]+\]|[^:/\s]+):\d{1,5}$/.test(address));
  return bad === undefined ? undefined : `${JSON.stringify(bad)} is no host:port of a control plane`;
}

function nodeName(text: string): string {
  if (NODE_NAME.test(text)) return text;
  throw new InvalidArgumentError('Give up to 63 letters, digits, `_` and `-`.');
}

function redisUrl(text: string): string {
  const isRedis = /^rediss?:\/\//.test(text) && URL.canParse(text);
  if (isRedis) return text;
  // What was given may hold a password.
  throw new InvalidArgumentError('Give an address such as redis://redis:6379.');
}

function defaultName(): string {
  return hostname()
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .slice(0, 63);
}
