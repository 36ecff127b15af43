/** How the plugin is configured. */
import { type ConfigProblem, Duration, durationMs, Size, type Static, sizeBytes, Type } from '@sluice/sdk';
import { RedactionConfig, redactionProblems } from '../redaction/index.js';

const MIN_FLUSH_MS = 10;
const MAX_FLUSH_MS = 60_000;
/** Escaped and in three bytes a character it still is below what NATS takes as one message. */
const MAX_SENT_BYTES = 131_072;

const Retention = Type.Object(
  {
    max_age: Type.Optional(
      Duration({
        description: 'Older records are removed, for example 365d. Without it none are for their age.',
      }),
    ),
    max_size: Type.Optional(
      Size({ description: 'The oldest records are removed while the file is larger, for example 2GiB.' }),
    ),
  },
  {
    additionalProperties: false,
    description: 'What is removed; nothing without it. What a hold keeps stays.',
  },
);

export const Config = Type.Object(
  {
    to: Type.Union([Type.Literal('file'), Type.Literal('cluster')], {
      default: 'file',
      description:
        'Where records go: to a file of the node, or over NATS to sluice audit collect, which writes those of all nodes into one.',
    }),
    file: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4_096,
        description:
          'With to: file, the file of SQLite that records are written to, best with its whole path. All workers of a node write to one; its folder is made where there is none.',
      }),
    ),
    signing_key: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4_096,
        description:
          'File of a private key of Ed25519 in PEM, which signs the end of the chain and its checkpoints. By default one beside the records, with .key behind their name, which is made where there is none.',
      }),
    ),
    arguments: Type.Union(
      [Type.Literal('whole'), Type.Literal('redacted'), Type.Literal('hashed'), Type.Literal('absent')],
      {
        default: 'redacted',
        description:
          'What is kept of the arguments: all of them, with secrets and personal data replaced by tokens, a keyed digest of them, or nothing.',
      },
    ),
    max_arguments: Size({
      default: '64KiB',
      description: 'Of the parameters of larger requests only their size is kept.',
    }),
    redaction: Type.Object(RedactionConfig.properties, {
      additionalProperties: false,
      default: {},
      description: 'What is looked for where arguments are redacted, and what keys tokens and digests.',
    }),
    claims: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
      default: [],
      maxItems: 32,
      description: 'Names of claims of the principal that are recorded, as personal data.',
    }),
    address: Type.Boolean({
      default: false,
      description: 'Whether the address of the client is recorded, as personal data.',
    }),
    durability: Type.Union([Type.Literal('none_lost'), Type.Literal('flush_interval')], {
      default: 'flush_interval',
      description:
        'What a crash may lose: with none_lost no answer is given before its record is on the disk; with flush_interval the records of one interval.',
    }),
    flush_interval: Duration({
      default: '200ms',
      description: 'How long records are gathered before they are written together; from 10ms to 1m.',
    }),
    on_full: Type.Optional(
      Type.Union([Type.Literal('deny'), Type.Literal('lose')], {
        description:
          'What happens while records cannot be written, for example because the disk is full: deny refuses requests, lose goes on, counts what is lost and records how much it was. By default deny with none_lost, and lose with flush_interval.',
      }),
    ),
    queue_records: Type.Integer({
      default: 20_000,
      minimum: 100,
      maximum: 1_000_000,
      description: 'Records that a worker holds while they cannot be written.',
    }),
    checkpoint_records: Type.Integer({
      default: 10_000,
      minimum: 1,
      maximum: 10_000_000,
      description: 'A signed checkpoint is made after as many records.',
    }),
    checkpoint_interval: Duration({
      default: '5m',
      description: 'A signed checkpoint is made with the first record after as long, at least 1s.',
    }),
    retention: Type.Optional(Retention),
  },
  { additionalProperties: false },
);
export type Config = Static<typeof Config>;

/** What the schema cannot say. */
export function configProblems(config: Config): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const flushMs = durationMs(config.flush_interval);
  if (flushMs < MIN_FLUSH_MS || flushMs > MAX_FLUSH_MS)
    problems.push({ path: 'flush_interval', message: 'is not between 10ms and 1m' });
  if (config.to === 'file' && config.file === undefined)
    problems.push({ path: 'file', message: 'is missing', hint: 'for example /var/lib/sluice/audit.sqlite' });
  for (const field of ['file', 'signing_key'] as const)
    if (config[field]?.includes('\0'))
      problems.push({ path: field, message: 'holds a null character, which no path has' });
  if (config.to === 'cluster') {
    for (const field of ['file', 'signing_key', 'retention'] as const)
      if (config[field] !== undefined)
        problems.push({ path: field, message: 'is for files; sluice audit collect has it for a cluster' });
    if (sizeBytes(config.max_arguments) > MAX_SENT_BYTES)
      problems.push({
        path: 'max_arguments',
        message: 'is more than 128KiB, which is the most with to: cluster',
      });
  }
  if (durationMs(config.checkpoint_interval) < 1_000)
    problems.push({ path: 'checkpoint_interval', message: 'is shorter than 1s' });
  if (config.durability === 'none_lost' && config.on_full === 'lose')
    problems.push({
      path: 'on_full',
      message: 'is lose, and durability says that none is lost',
      hint: 'deny, or durability: flush_interval',
    });
  const maxAge = config.retention?.max_age;
  if (maxAge !== undefined && durationMs(maxAge) < 60_000)
    problems.push({ path: 'retention.max_age', message: 'is shorter than 1m' });
  problems.push(...redactionProblems(config.redaction, 'redaction'));
  return problems;
}

export function deniesWhenFull({ on_full, durability }: Config): boolean {
  return (on_full ?? (durability === 'none_lost' ? 'deny' : 'lose')) === 'deny';
}
