import { type Command, Option } from 'commander';
import type { Example } from '../command-line.js';
import type { NodeFlags } from '../node-flags.js';
import { clusterName, collected, listed, replicas } from '../option-values.js';

/** Which records. */
export interface RecordFlags {
  readonly file: string;
  /** As typed: `1h`, or a time. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly principal?: string | undefined;
  readonly tool?: string | undefined;
  readonly outcome?: string | undefined;
  readonly decision?: string | undefined;
  readonly trace?: string | undefined;
}

export interface QueryFlags extends RecordFlags {
  readonly limit: number;
  readonly output: 'table' | 'json' | 'jsonl';
}

export interface ExportFlags extends RecordFlags {
  readonly to: 'jsonl' | 'syslog' | 'otlp';
  /** Number of a record. */
  readonly after?: number | undefined;
  readonly out?: string | undefined;
  /** `host:port`. */
  readonly tcp?: string | undefined;
  readonly url?: string | undefined;
  readonly header?: readonly string[] | undefined;
}

export interface VerifyFlags {
  readonly file: string;
  readonly publicKey?: readonly string[] | undefined;
  /** `seq:hash`. */
  readonly expect?: readonly string[] | undefined;
}

export interface ChangeFlags {
  readonly file: string;
  readonly key?: string | undefined;
}

/** Those of a node about NATS, and how the file is kept. */
export interface CollectFlags
  extends ChangeFlags,
    Pick<
      NodeFlags,
      'natsReplicas' | 'cluster' | 'keyFile' | 'natsCredentials' | 'natsCa' | 'natsCert' | 'natsKey'
    > {
  readonly nats: readonly string[];
  /** As typed: `400d`. */
  readonly maxAge?: string | undefined;
  /** As typed: `20GiB`. */
  readonly maxSize?: string | undefined;
}

export type AuditCommand =
  | { readonly name: 'collect'; readonly flags: CollectFlags }
  | { readonly name: 'query'; readonly flags: QueryFlags }
  | { readonly name: 'export'; readonly flags: ExportFlags }
  | { readonly name: 'verify'; readonly flags: VerifyFlags }
  | { readonly name: 'erase'; readonly flags: ChangeFlags & { readonly principal: string } }
  | {
      readonly name: 'hold add';
      readonly hold: string;
      readonly flags: ChangeFlags &
        Pick<RecordFlags, 'principal' | 'since' | 'until'> & { readonly reason?: string };
    }
  | {
      readonly name: 'hold list';
      readonly flags: { readonly file: string; readonly output: 'table' | 'json' };
    }
  | { readonly name: 'hold remove'; readonly hold: string; readonly flags: ChangeFlags };

export interface AuditActions {
  audit(command: AuditCommand): Promise<number>;
}

const FILE = '--file /var/lib/sluice/audit.sqlite';

export const AUDIT_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  audit: [
    [`sluice audit query ${FILE} --since 1h`, 'what happened in the last hour'],
    [`sluice audit verify ${FILE}`, 'whether all records are what they were'],
  ],
  'audit query': [
    ['export SLUICE_AUDIT_FILE=/var/lib/sluice/audit.sqlite', 'instead of --file'],
    [
      'sluice audit query --principal auth-jwt:ada --outcome refused --since 7d',
      'what ada was refused in a week',
    ],
    ['sluice audit query --tool crm:delete_customer -o jsonl | jq .arguments', 'for programs'],
  ],
  'audit export': [
    ['sluice audit export --to jsonl --since 2027-01-01 --out january.jsonl', 'to a file'],
    [
      'sluice audit export --to syslog --tcp logs.example.com:601 --after 12000',
      'what came after record 12000',
    ],
    ['sluice audit export --to otlp --url http://collector:4318/v1/logs', 'to a collector of OpenTelemetry'],
  ],
  'audit verify': [
    ['sluice audit verify --public-key node-1.pub', 'with a key that is kept elsewhere'],
    ['sluice audit verify --expect 12000:9f86d081…', 'with a hash of the end that was noted before'],
  ],
  'audit collect': [
    [
      'sluice audit collect --nats nats://nats:4222 --key-file /run/secrets/cluster --max-age 400d',
      'writes what the nodes of a cluster record, whose plugins say to: cluster',
    ],
  ],
  'audit erase': [
    ['sluice audit erase --principal auth-jwt:ada', 'all that is known of ada; the chain holds'],
  ],
  'audit hold': [['sluice audit hold list', 'what is kept whatever retention and erasure say']],
  'audit hold add': [
    [
      "sluice audit hold add case-7 --principal auth-jwt:ada --since 2027-01-01 --reason 'file 7 O 12/27'",
      'keeps what there is of ada',
    ],
  ],
  'audit hold remove': [['sluice audit hold remove case-7', 'gives it free']],
};

type Check = (what: string, min: number, max: number) => (text: string) => number;

const MAX_LIMIT = 1_000_000;

export function addAuditCommand(
  program: Command,
  actions: AuditActions,
  finish: (exitCode: number) => void,
  wholeNumber: Check,
): void {
  const audit = program
    .command('audit')
    .summary('read, verify and export audit records')
    .description('Works on a file that the plugin audit writes. A gateway may go on writing it meanwhile.');
  const run = async (command: AuditCommand) => finish(await actions.audit(command));

  withFilter(audit.command('query'))
    .summary('show records')
    .description('Shows the newest records that fit all that is said, the oldest of them first.')
    .addOption(
      new Option('--limit <number>', 'how many at most')
        .argParser(wholeNumber('records', 1, MAX_LIMIT))
        .default(100),
    )
    .addOption(
      new Option('-o, --output <format>', 'how they are printed')
        .choices(['table', 'json', 'jsonl'])
        .default('table'),
    )
    .action((flags: QueryFlags) => run({ name: 'query', flags }));

  withFilter(audit.command('export'))
    .summary('give records to another system')
    .description(
      'Writes the records that fit in the form of another system, the oldest first, and says on stderr which was the ' +
        'last: --after goes on from there.',
    )
    .addOption(
      new Option('--to <format>', 'JSON lines, messages of RFC 5424, or logs of OpenTelemetry')
        .choices(['jsonl', 'syslog', 'otlp'])
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--after <record>', 'only records with a higher number').argParser(
        wholeNumber('records', 0, Number.MAX_SAFE_INTEGER),
      ),
    )
    .option('--out <file>', 'for jsonl and syslog: a file that it is added to, instead of stdout')
    .option('--tcp <host:port>', 'for syslog: a receiver, with lengths before messages (RFC 6587)')
    .option('--url <url>', 'for otlp: where logs are taken, for example http://collector:4318/v1/logs')
    .addOption(
      new Option('--header <field>', 'for otlp: a header field, such as "Authorization: Bearer …"').argParser(
        collected,
      ),
    )
    .action((flags: ExportFlags) => run({ name: 'export', flags }));

  withFile(audit.command('verify'))
    .summary('find records that are not what they were')
    .description(
      'Goes through the whole chain and says which records were changed, removed, added or swapped, and whether its end ' +
        'and its checkpoints are signed by the key of the node. Ends with 1 when something is wrong.',
    )
    .addOption(
      new Option('--public-key <file>', 'of the node, in PEM; by default FILE.key.pub').argParser(collected),
    )
    .addOption(
      new Option('--expect <record:hash>', 'the hash of a record as it was printed before').argParser(
        collected,
      ),
    )
    .action((flags: VerifyFlags) => run({ name: 'verify', flags }));

  const shared = (flags: string, meaning: string, variable: string) =>
    new Option(flags, meaning).env(`SLUICE_NODE_${variable}`);
  withKey(audit.command('collect'))
    .summary('write the records of a cluster')
    .description(
      'Takes what nodes record whose plugin says to: cluster out of NATS, and writes it to a file as a node would. ' +
        'Records stay in NATS until they are on the disk. Several may run for one cluster, each with a file of its own: ' +
        'a record comes to one of them. Runs until it is told to stop.',
    )
    .addOption(
      shared('--nats <url>', 'NATS; may be given several times', 'NATS')
        .argParser(listed)
        .makeOptionMandatory(),
    )
    .addOption(
      shared('--nats-credentials <file>', 'the credentials of a user of NATS (.creds)', 'NATS_CREDENTIALS'),
    )
    .addOption(shared('--nats-ca <file>', 'the authority that NATS is trusted by (PEM)', 'NATS_CA'))
    .addOption(shared('--nats-cert <file>', 'the certificate that it shows to NATS (PEM)', 'NATS_CERT'))
    .addOption(shared('--nats-key <file>', 'the key of that certificate (PEM)', 'NATS_KEY'))
    .addOption(
      shared(
        '--nats-replicas <number>',
        'how many NATS servers keep a copy, as at the nodes',
        'NATS_REPLICAS',
      )
        .argParser(replicas)
        .default(1),
    )
    .addOption(
      shared('--cluster <name>', 'the name of the cluster', 'CLUSTER')
        .argParser(clusterName)
        .default('default'),
    )
    .addOption(
      shared(
        '--key-file <file>',
        'the secret that all nodes have; batches of others are left out. Else the variable SLUICE_NODE_KEY',
        'KEY_FILE',
      ),
    )
    .option('--max-age <age>', 'older records are removed, such as 400d')
    .option('--max-size <size>', 'the oldest records are removed while the file is larger, such as 4GiB')
    .action((flags: CollectFlags) => run({ name: 'collect', flags }));

  withKey(audit.command('erase'))
    .summary('take out what is known of a principal')
    .description(
      'Takes out who called, with what program and arguments, from all records of a principal. What else they say stays, ' +
        'the chain holds, and a record says that it was done. What a hold keeps stays.',
    )
    .requiredOption('--principal <id>', 'the principal, as records have it')
    .action((flags) => run({ name: 'erase', flags }));

  const hold = audit
    .command('hold')
    .summary('keep records whatever else says')
    .description('A hold keeps records from retention and from erasure.');
  withKey(hold.command('add'))
    .summary('begin a hold')
    .description('Keeps the records of a principal, of a time, or of both; everything when neither is said.')
    .argument('<name>', 'names the hold')
    .option('--principal <id>', 'whose records')
    .option('--since <time>', 'from when on: 30d, or a time such as 2027-01-31')
    .option('--until <time>', 'up to when')
    .option('--reason <text>', 'why; it is recorded')
    .action((name: string, flags) => run({ name: 'hold add', hold: name, flags }));
  withFile(hold.command('list'))
    .summary('show holds')
    .description('Shows the holds that there are.')
    .addOption(
      new Option('-o, --output <format>', 'how they are printed').choices(['table', 'json']).default('table'),
    )
    .action((flags) => run({ name: 'hold list', flags }));
  withKey(hold.command('remove'))
    .summary('end a hold')
    .description('Ends a hold: retention and erasure may take what it kept.')
    .argument('<name>', 'the hold')
    .action((name: string, flags) => run({ name: 'hold remove', hold: name, flags }));
}

function withFile(command: Command): Command {
  return command.addOption(
    new Option('--file <file>', 'the file of the plugin').env('SLUICE_AUDIT_FILE').makeOptionMandatory(),
  );
}

function withKey(command: Command): Command {
  return withFile(command).option('--key <file>', 'the private key of the node; by default FILE.key');
}

function withFilter(command: Command): Command {
  return withFile(command)
    .option('--since <time>', 'from when on: 30m, 24h or 7d before now, or a time such as 2027-01-31T08:00Z')
    .option('--until <time>', 'up to when')
    .option('--principal <id>', 'who called')
    .option('--tool <name>', 'what was called: upstream:name, or a name at any upstream')
    .addOption(
      new Option('--outcome <outcome>', 'what came of it').choices([
        'ok',
        'input_required',
        'error',
        'refused',
        'cancelled',
      ]),
    )
    .addOption(
      new Option('--decision <decision>', 'what was decided').choices([
        'allow',
        'deny',
        'ask',
        'approved',
        'declined',
      ]),
    )
    .option('--trace <id>', 'of which trace, as 32 hexadecimal digits');
}
