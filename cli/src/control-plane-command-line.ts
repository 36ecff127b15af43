import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Example } from './command-line.js';
import type { ControlPlaneFlags, Place } from './control-plane-flags.js';
import type { SharedOptions } from './node-command-line.js';
import { clusterName, listed } from './option-values.js';

export interface ControlPlaneActions {
  controlPlane(flags: ControlPlaneFlags): Promise<number>;
}

export const CONTROL_PLANE_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  'control-plane': [
    ['sluice control-plane', 'a cluster on this machine; prints how nodes join and how it is configured'],
    [
      'sluice control-plane --store etcd --etcd http://10.0.0.5:2379 --nats nats://10.0.0.6:4222 --node-tokens-file nodes.yaml --admin-tokens-file admins.yaml',
      'one of several replicas: give all of them the same',
    ],
    [
      'sluice control-plane --listen 0.0.0.0:7080 --listen-cert cp.pem --listen-key cp.key --listen-client-ca nodes-ca.pem',
      'nodes on other machines, which prove by certificates who they are',
    ],
  ],
};

const MAX_KEPT_REVISIONS = 1_000_000;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/;

type OwnOption = (flags: string, meaning: string, variable: string) => Option;

export function addControlPlaneCommand(
  program: Command,
  actions: ControlPlaneActions,
  finish: (exitCode: number) => void,
  { wholeNumber, logLevel, logFormat }: SharedOptions,
): void {
  const own: OwnOption = (flags, meaning, variable) =>
    new Option(flags, meaning).env(`SLUICE_CP_${variable}`);
  const command = program
    .command('control-plane')
    .summary('run the control plane of a cluster')
    .description(
      'Runs one replica of what owns the configuration of a cluster: it takes changes over the admin API, keeps ' +
        'every revision in its store, and brings it to the nodes. Nothing that clients of nodes do passes it, so it ' +
        'may be away. Alone it keeps everything in a file, and makes a token for nodes and one for the admin API at ' +
        'its first start; several replicas share an etcd.',
    )
    .addOption(
      own('--cluster <name>', 'the name of the cluster; an etcd and a NATS may serve several', 'CLUSTER')
        .argParser(clusterName)
        .default('default'),
    );
  for (const option of [
    ...storeOptions(own, wholeNumber),
    ...nodeOptions(own),
    ...adminOptions(own),
    ...otherOptions(own),
  ])
    command.addOption(option);
  command
    .addOption(logLevel().env('SLUICE_CP_LOG_LEVEL'))
    .addOption(logFormat().env('SLUICE_CP_LOG_FORMAT'))
    .action(async (flags: ControlPlaneFlags) => {
      const wrong = contradiction(flags);
      if (wrong !== undefined) command.error(`error: ${wrong}`);
      finish(await actions.controlPlane(flags));
    });
}

function storeOptions(own: OwnOption, wholeNumber: SharedOptions['wholeNumber']): Option[] {
  return [
    own('--store <kind>', 'where revisions are kept: a file, or etcd for several replicas', 'STORE')
      .choices(['embedded', 'etcd'])
      .default('embedded'),
    own('--state-dir <folder>', 'folder of the embedded store and of tokens made here', 'STATE_DIR').default(
      'sluice-state',
    ),
    own('--etcd <url>', 'a member of etcd; may be given several times', 'ETCD').argParser(listed),
    own('--etcd-user <name>', 'the user of etcd', 'ETCD_USER'),
    own(
      '--etcd-password-file <file>',
      'the password of that user; else the variable SLUICE_CP_ETCD_PASSWORD',
      'ETCD_PASSWORD_FILE',
    ),
    own(
      '--etcd-ca <file>',
      'trust this authority for etcd (PEM); https:// alone trusts those of the system',
      'ETCD_CA',
    ),
    own('--etcd-cert <file>', 'the certificate that is shown to etcd (PEM)', 'ETCD_CERT'),
    own('--etcd-key <file>', 'the key of that certificate (PEM)', 'ETCD_KEY'),
    own('--keep-revisions <number>', 'how many revisions can be looked at and gone back to', 'KEEP_REVISIONS')
      .argParser(wholeNumber('a number of revisions', 1, MAX_KEPT_REVISIONS))
      .default(1_000),
  ];
}

function nodeOptions(own: OwnOption): Option[] {
  return [
    own('--listen <address>', 'host:port to listen on for nodes; port 0 lets the system choose', 'LISTEN')
      .argParser(place)
      .default({ host: '127.0.0.1', port: 7080 }, '127.0.0.1:7080'),
    own('--listen-cert <file>', 'the certificate that nodes see (PEM)', 'LISTEN_CERT'),
    own('--listen-key <file>', 'the key of that certificate (PEM)', 'LISTEN_KEY'),
    own(
      '--listen-client-ca <file>',
      'nodes have to show a certificate of this authority (PEM), with their name in it where no token proves it',
      'LISTEN_CLIENT_CA',
    ),
    own(
      '--node-tokens-file <file>',
      'which tokens let which nodes in, as digests; entries are made by sluice keys create-token',
      'NODE_TOKENS_FILE',
    ),
  ];
}

function adminOptions(own: OwnOption): Option[] {
  return [
    own('--admin-listen <address>', 'host:port to listen on for the admin API', 'ADMIN_LISTEN')
      .argParser(place)
      .default({ host: '127.0.0.1', port: 7070 }, '127.0.0.1:7070'),
    own('--admin-cert <file>', 'the certificate that its callers see (PEM)', 'ADMIN_CERT'),
    own('--admin-key <file>', 'the key of that certificate (PEM)', 'ADMIN_KEY'),
    own(
      '--admin-client-ca <file>',
      'the authority of certificates that callers may show (PEM); the tokens file says whom they are',
      'ADMIN_CLIENT_CA',
    ),
    own(
      '--admin-tokens-file <file>',
      'which tokens and certificates may do what, as digests; entries are made by sluice keys create-token',
      'ADMIN_TOKENS_FILE',
    ),
    own('--oidc-issuer <url>', 'take tokens of this OpenID Connect issuer too', 'OIDC_ISSUER'),
    own('--oidc-audience <name>', 'what those tokens have to be for', 'OIDC_AUDIENCE'),
    own('--oidc-role-claim <name>', 'the claim that makes the role', 'OIDC_ROLE_CLAIM').default('roles'),
    own('--oidc-name-claim <name>', 'the claim that names the caller', 'OIDC_NAME_CLAIM').default('sub'),
    own(
      '--oidc-tenants-claim <name>',
      'the claim that names the tenants of the caller; without it, all',
      'OIDC_TENANTS_CLAIM',
    ),
    own('--oidc-admins <value>', 'values of the claim that make an admin', 'OIDC_ADMINS').argParser(listed),
    own('--oidc-operators <value>', 'values that make an operator', 'OIDC_OPERATORS').argParser(listed),
    own('--oidc-viewers <value>', 'values that make a viewer', 'OIDC_VIEWERS').argParser(listed),
  ];
}

function otherOptions(own: OwnOption): Option[] {
  return [
    own(
      '--nats <url>',
      'NATS, over which nodes hear of changes at once; may be given several times',
      'NATS',
    ).argParser(listed),
    own('--nats-credentials <file>', 'the credentials of a user of NATS (.creds)', 'NATS_CREDENTIALS'),
    own('--nats-ca <file>', 'trust this authority for NATS (PEM)', 'NATS_CA'),
    own('--health-listen <address>', 'host:port of /live, /ready, /health and /metrics', 'HEALTH_LISTEN')
      .argParser(place)
      .default({ host: '127.0.0.1', port: 7090 }, '127.0.0.1:7090'),
    own(
      '--insecure',
      'listen beyond this machine without encryption: something else protects it',
      'INSECURE',
    ),
  ];
}

/** What cannot be so together; undefined when nothing is. */
function contradiction(flags: ControlPlaneFlags): string | undefined {
  return pairContradiction(flags) ?? storeContradiction(flags) ?? doorContradiction(flags);
}

function pairContradiction(flags: ControlPlaneFlags): string | undefined {
  const pairs = [
    ['--etcd-cert', flags.etcdCert, '--etcd-key', flags.etcdKey],
    ['--listen-cert', flags.listenCert, '--listen-key', flags.listenKey],
    ['--admin-cert', flags.adminCert, '--admin-key', flags.adminKey],
    ['--oidc-issuer', flags.oidcIssuer, '--oidc-audience', flags.oidcAudience],
  ] as const;
  const torn = pairs.find(([, one, , other]) => (one === undefined) !== (other === undefined));
  if (torn !== undefined) return `${torn[0]} and ${torn[2]} belong together`;
  if (flags.listenClientCa !== undefined && flags.listenCert === undefined)
    return '--listen-client-ca needs --listen-cert and --listen-key: certificates are shown over TLS only';
  if (flags.adminClientCa !== undefined && flags.adminCert === undefined)
    return '--admin-client-ca needs --admin-cert and --admin-key: certificates are shown over TLS only';
  const roles = [flags.oidcAdmins, flags.oidcOperators, flags.oidcViewers];
  if (flags.oidcIssuer !== undefined && roles.every((each) => each === undefined))
    return '--oidc-issuer needs --oidc-admins, --oidc-operators or --oidc-viewers: else its tokens give no role';
  return undefined;
}

function storeContradiction(flags: ControlPlaneFlags): string | undefined {
  const { store, etcd, etcdUser, etcdPasswordFile, etcdCa, etcdCert } = flags;
  if (store === 'embedded')
    return etcd === undefined
      ? undefined
      : '--etcd needs --store etcd, or the revisions would stay in a file';
  if (etcd === undefined) return '--store etcd needs --etcd, such as --etcd http://127.0.0.1:2379';
  const bad = etcd.find((url) => !/^https?:\/\/[^/\s@]+:\d{1,5}$/.test(url));
  // A password may stand in it.
  if (bad?.includes('@'))
    return 'an address of etcd holds no user: give --etcd-user and --etcd-password-file';
  if (bad !== undefined)
    return `${JSON.stringify(bad)} is no address of etcd; give http://host:2379 or https://host:2379`;
  const isSecure = etcd.map((url) => url.startsWith('https:'));
  if (new Set(isSecure).size > 1) return 'all addresses of etcd are http:// or all are https://';
  if ((etcdCa !== undefined || etcdCert !== undefined) && isSecure[0] === false)
    return '--etcd-ca and --etcd-cert need addresses with https://';
  if (etcdCert !== undefined && etcdCa === undefined)
    return '--etcd-cert needs --etcd-ca, which vouches for etcd';
  if (etcdPasswordFile !== undefined && etcdUser === undefined)
    return '--etcd-password-file needs --etcd-user';
  if (flags.nodeTokensFile === undefined && flags.listenClientCa === undefined)
    return 'replicas have to know the same nodes: give --node-tokens-file or --listen-client-ca; sluice keys create-token makes entries';
  if (flags.adminTokensFile === undefined && flags.oidcIssuer === undefined)
    return 'replicas have to know the same callers: give --admin-tokens-file or --oidc-issuer; sluice keys create-token makes entries';
  return undefined;
}

function doorContradiction({
  insecure,
  listen,
  listenCert,
  adminListen,
  adminCert,
  healthListen,
}: ControlPlaneFlags): string | undefined {
  if (insecure) return undefined;
  if (listenCert === undefined && !LOOPBACK.test(listen.host))
    return `nodes at ${listen.host} would show their tokens in the clear: give --listen-cert and --listen-key, or --insecure`;
  if (adminCert === undefined && !LOOPBACK.test(adminListen.host))
    return `callers at ${adminListen.host} would show their tokens in the clear: give --admin-cert and --admin-key, or --insecure`;
  if (!LOOPBACK.test(healthListen.host))
    return `health and metrics at ${healthListen.host} are for everybody who reaches it: give --insecure if that is meant`;
  return undefined;
}

function place(text: string): Place {
  const [, host, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|[^:/\s[\]]+):(\d{1,5})$/.exec(text) ?? [];
  const name = host ?? text.slice(0, text.lastIndexOf(':'));
  if (port === undefined || Number(port) > 65_535)
    throw new InvalidArgumentError('Give host:port, such as 127.0.0.1:7080.');
  return { host: name, port: Number(port) };
}
