/** The options that several commands of the admin API share. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { collected } from '../option-values.js';
import type { OutputFormat } from './commands.js';

/** Where `sluice control-plane` serves the admin API by default. */
export const DEFAULT_SERVER = '127.0.0.1:7070';
/** A change of ten thousand resources takes some seconds. */
const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_DEADLINE_MS = 30_000;
/** As the server has it. */
const MAX_DEADLINE_MS = 600_000;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Options with a variable, for shells in which one cluster is worked on. */
const own = (flags: string, meaning: string, variable: string) =>
  new Option(flags, meaning).env(`SLUICE_ADMIN_${variable}`);

export function addServerOptions(command: Command): Command {
  return command
    .addOption(
      own('--server <address>', 'host:port of a control plane; several with commas', 'SERVER')
        .argParser(listed)
        .default([DEFAULT_SERVER], DEFAULT_SERVER),
    )
    .addOption(
      own('--token-file <file>', 'what proves who asks; else the variable SLUICE_ADMIN_TOKEN', 'TOKEN_FILE'),
    )
    .addOption(own('--ca <file>', 'the authority that the control plane is trusted by (PEM)', 'CA'))
    .addOption(own('--cert <file>', 'the certificate that is shown to the control plane (PEM)', 'CERT'))
    .addOption(own('--key <file>', 'the key of that certificate (PEM)', 'KEY'))
    .addOption(
      new Option('--timeout <time>', 'how long to wait for an answer')
        .argParser((text) => milliseconds(text))
        .default(DEFAULT_TIMEOUT_MS, '30s'),
    );
}

export function addOutputOptions(command: Command, formats: readonly OutputFormat[]): Command {
  const meaning = 'how it is printed: for people, or for programs';
  return command
    .addOption(new Option('-o, --output <format>', meaning).choices([...formats]))
    .option('--no-color', 'no colours, whatever the output is');
}

export function addWriteOptions(command: Command): Command {
  return command
    .option('--dry-run', 'show what it would change, and what is wrong with it, and change nothing')
    .option('-m, --message <text>', 'why, for the history')
    .addOption(
      new Option(
        '--expect-revision <number>',
        'the revision that the change was made on; refused when another one holds',
      ).argParser(revisionNumber),
    )
    .option(
      '--idempotency-key <text>',
      'names this change, so that it is made once however often it is tried',
    )
    .addOption(
      new Option(
        '--wait <who>',
        'wait until these run it: any, all, region:NAME, or a share such as 50%',
      ).argParser(waitFor),
    )
    .addOption(deadlineOption());
}

export function addFileOptions(command: Command, meaning: string): Command {
  return command
    .addOption(new Option('-f, --file <path>', meaning).argParser(collected))
    .option('-t, --tenant <name>', 'the tenant of what names none')
    .option('--prune', 'remove what is not in the files')
    .addOption(
      new Option(
        '--prune-tenant <name>',
        'what --prune may remove: of these tenants, "" for the operator; default those of the files',
      ).argParser(collected),
    )
    .addOption(
      new Option(
        '--prune-kind <kind>',
        'of these kinds; default all but gateway, secret, region and tenant',
      ).argParser(collected),
    )
    .addOption(new Option('--prune-label <name=value>', 'with these labels').argParser(label));
}

/** @param maxMs for what the server does not wait for */
export function deadlineOption(maxMs = MAX_DEADLINE_MS): Option {
  return new Option('--deadline <time>', 'how long to wait for nodes')
    .argParser((text) => milliseconds(text, maxMs))
    .default(DEFAULT_DEADLINE_MS, '30s');
}

function listed(value: string): readonly string[] {
  const own = value
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
  if (own.length === 0) throw new InvalidArgumentError('Give host:port.');
  return own;
}

export function revisionNumber(text: string): bigint {
  if (/^\d{1,15}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError('Give the number of a revision.');
}

export function waitFor(text: string): string {
  const percent = Number(/^(\d{1,3})%$/.exec(text)?.[1] ?? 0);
  if (/^(?:none|any|all|region:.+)$/.test(text) || (percent >= 1 && percent <= 100)) return text;
  throw new InvalidArgumentError('Give any, all, region:NAME, or a share from 1% to 100%.');
}

/** A time with its unit. */
export function milliseconds(text: string, maxMs = MAX_DEADLINE_MS): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Math.round(Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN));
  if (ms >= 1 && ms <= maxMs) return ms;
  throw new InvalidArgumentError(`Give a time up to ${maxMs / 60_000}m, such as 500ms, 30s or 5m.`);
}

function label(text: string, earlier: readonly string[] | undefined): readonly string[] {
  if (/^[^=]+=/.test(text)) return collected(text, earlier);
  throw new InvalidArgumentError('Give name=value.');
}
