import { type Command, Option } from 'commander';
import type { Example } from './command-line.js';
import { KEY_SECRET_VARIABLE } from './key-secret-variable.js';
import { collected } from './option-values.js';

/** What `sluice keys create` was told. */
export interface NewKeyFlags {
  readonly consumer: string;
  readonly tenant?: string;
  /** As typed: names with commas or spaces between them. */
  readonly scopes?: readonly string[];
  /** As typed: `90d`, or a time. */
  readonly expires?: string;
  readonly secretEnv: string;
  readonly output: 'yaml' | 'json';
}

/** What `sluice keys create-token` was told. */
export interface NewTokenFlags {
  /** A name, in which `*` stands for any characters. */
  readonly node?: string;
  readonly admin?: string;
  readonly role: 'viewer' | 'operator' | 'admin';
  readonly region?: string;
  /** As typed: names with commas or spaces between them. */
  readonly tenants?: readonly string[];
  readonly output: 'yaml' | 'json';
}

export interface KeysActions {
  createKey(flags: NewKeyFlags): Promise<number>;
  createToken(flags: NewTokenFlags): Promise<number>;
  hashPassword(): Promise<number>;
}

export const KEYS_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  keys: [
    ['sluice keys create --consumer ada', 'a key for auth-api-key'],
    ['sluice keys hash-password', 'a password for auth-basic'],
  ],
  'keys create': [
    ['export SLUICE_KEY_SECRET="$(openssl rand -base64 32)"', 'once; the gateway needs the same one'],
    ['sluice keys create --consumer ada', 'a key, and what the configuration holds of it'],
    [
      'sluice keys create --consumer ada --scopes tools:read,tools:call --expires 90d',
      'for less, and for a while',
    ],
    ['sluice keys create --consumer ci -o json | jq -r .key', 'the key alone, for a script'],
    ['sluice keys create --consumer ada --secret-env STAGING_KEY_SECRET', 'for another gateway'],
  ],
  'keys create-token': [
    [
      "sluice keys create-token --node 'eu-*' --region eu",
      'lets nodes into the cluster whose names begin so',
    ],
    ['sluice keys create-token --admin ci --role operator', 'for a program that changes the configuration'],
    [
      'sluice keys create-token --admin acme-ops --role operator --tenants acme',
      'for somebody who sees and changes what belongs to one tenant',
    ],
  ],
  'keys hash-password': [
    ['sluice keys hash-password', 'asks for the password, and shows nothing of it'],
    ['pass show sluice/ada | sluice keys hash-password', 'takes it from another program'],
  ],
};

export function addKeysCommand(
  program: Command,
  actions: KeysActions,
  finish: (exitCode: number) => void,
): void {
  const keys = program
    .command('keys')
    .summary('make credentials for callers')
    .description(
      'Makes credentials for callers. What is printed goes into the configuration; nothing is stored.',
    );

  keys
    .command('create')
    .summary('make an API key')
    .description(
      'Makes an API key for the plugin auth-api-key and prints it, once, with the entry of the configuration that ' +
        'knows it. The entry holds a hash of the key under a secret that is taken from the environment, never from ' +
        'the command line, and that is the `hash_key` of the plugin.',
    )
    .requiredOption('--consumer <name>', 'who will hold the key; several keys may name one')
    .option('--tenant <name>', 'the tenant that the consumer belongs to')
    .addOption(
      new Option(
        '--scopes <list>',
        'what the key may do, with commas between; may be given several times',
      ).argParser(collected),
    )
    .option(
      '--expires <time>',
      'when it stops to count: 12h, 90d or 8w from now, or a time such as 2027-01-31',
    )
    .option('--secret-env <name>', 'the variable that holds the secret', KEY_SECRET_VARIABLE)
    .addOption(
      new Option('-o, --output <format>', 'how it is printed').choices(['yaml', 'json']).default('yaml'),
    )
    .action(async (flags: NewKeyFlags) => finish(await actions.createKey(flags)));

  keys
    .command('create-token')
    .summary('make a token of a cluster')
    .description(
      'Makes a token for nodes of a cluster or for callers of its admin API and prints it, once, with the entry that ' +
        'knows it in a file of sluice control-plane. The entry holds the digest of the token, so the file opens nothing.',
    )
    .option('--node <name>', 'for the node of this name; `*` stands for any characters')
    .option('--admin <name>', 'for a caller of the admin API, who is the author of what it changes')
    .addOption(
      new Option('--role <role>', 'what the caller may do')
        .choices(['viewer', 'operator', 'admin'])
        .default('viewer'),
    )
    .option('--region <name>', 'the region of the nodes; without it, the one that each says')
    .addOption(
      new Option(
        '--tenants <list>',
        'whose configuration it is about, with commas between; without it, all',
      ).argParser(collected),
    )
    .addOption(
      new Option('-o, --output <format>', 'how it is printed').choices(['yaml', 'json']).default('yaml'),
    )
    .action(async (flags: NewTokenFlags) => finish(await actions.createToken(flags)));

  keys
    .command('hash-password')
    .summary('hash a password')
    .description(
      'Reads a password from stdin, or asks for it on a terminal without showing it, and prints the scrypt hash ' +
        'that stands for it as `password_hash` in the configuration of the plugin auth-basic.',
    )
    .action(async () => finish(await actions.hashPassword()));
}
