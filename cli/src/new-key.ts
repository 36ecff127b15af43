import { createApiKey } from '@sluice/plugins/credentials';
import { EXIT } from './exit-codes.js';
import type { Output } from './health.js';
import type { NewKeyFlags } from './keys-command-line.js';

/** As the schema of auth-api-key has it. */
const SECRET_LENGTH = { min: 32, max: 1_024 } as const;
const MAX_NAME_LENGTH = 128;
/** RFC 3339 has four digits for a year. */
const AFTER_ALL_MS = Date.UTC(10_000, 0);
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** An entry of `keys` in the configuration of auth-api-key. */
interface KeyEntry {
  readonly prefix: string;
  readonly hash: string;
  readonly consumer: string;
  readonly tenant?: string;
  readonly scopes?: readonly string[];
  readonly expires_at?: string;
}

interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/**
 * Makes an API key, and prints it with the entry of the configuration that knows it.
 *
 * @returns the exit code
 */
export function createKey(
  flags: NewKeyFlags,
  { environment, nowMs }: Surroundings,
  out: Output,
  err: Output,
): number {
  const wrong = (exitCode: number, message: string) => {
    err.write(`sluice: ${message}\n`);
    return exitCode;
  };
  const { consumer, tenant, secretEnv, output } = flags;
  for (const [option, name] of [
    ['--consumer', consumer],
    ['--tenant', tenant],
  ] as const) {
    if (name !== undefined && (name.trim() === '' || name.length > MAX_NAME_LENGTH || /\p{Cc}/u.test(name)))
      return wrong(EXIT.usage, `${option} needs a name of 1 to ${MAX_NAME_LENGTH} characters`);
  }
  const expiresMs = flags.expires === undefined ? undefined : expiryMs(flags.expires, nowMs);
  if (expiresMs !== undefined && !(expiresMs > nowMs && expiresMs < AFTER_ALL_MS))
    return wrong(
      EXIT.usage,
      '--expires needs a time to come: 12h, 90d or 8w from now, or a time such as 2027-01-31',
    );
  // Whoever typed the secret itself here is not to find it on the screen and in logs, too.
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(secretEnv))
    return wrong(EXIT.usage, '--secret-env needs the name of a variable, such as SLUICE_KEY_SECRET');
  const secret = environment[secretEnv] ?? '';
  if (secret === '')
    return wrong(EXIT.configuration, `the environment variable ${secretEnv} is not set.${SECRET_HINT}`);
  if (secret.length < SECRET_LENGTH.min || secret.length > SECRET_LENGTH.max) {
    const { min, max } = SECRET_LENGTH;
    const message = `the secret in ${secretEnv} has ${secret.length} characters and needs ${min} to ${max}.`;
    return wrong(EXIT.configuration, message + SECRET_HINT);
  }
  const { key, prefix, hash } = createApiKey(secret);
  const scopes = (flags.scopes ?? []).flatMap((list) => list.split(/[\s,]+/)).filter((scope) => scope !== '');
  const entry: KeyEntry = {
    prefix,
    hash,
    consumer,
    ...(tenant === undefined ? {} : { tenant }),
    ...(scopes.length === 0 ? {} : { scopes: [...new Set(scopes)] }),
    ...(expiresMs === undefined
      ? {}
      : { expires_at: new Date(expiresMs).toISOString().replace('.000Z', 'Z') }),
  };
  out.write(output === 'json' ? `${JSON.stringify({ key, entry }, null, 2)}\n` : asText(key, entry));
  return EXIT.ok;
}

const SECRET_HINT = [
  '',
  '  It is what keys are hashed under, the `hash_key` of the plugin auth-api-key. For a new one:',
  '  export SLUICE_KEY_SECRET="$(openssl rand -base64 32)"',
].join('\n');

/** NaN for what is no time. Whole seconds. */
function expiryMs(text: string, nowMs: number): number {
  const [, amount, unit] = /^(\d{1,6})([hdw])$/.exec(text) ?? [];
  const ms =
    unit !== undefined
      ? nowMs + Number(amount) * (UNIT_MS[unit] as number)
      : /^\d{4}-\d{2}-\d{2}/.test(text)
        ? Date.parse(text)
        : Number.NaN;
  return Math.floor(ms / 1_000) * 1_000;
}

/** The entry as YAML, in which texts in JSON's quotes are safe whatever is in them. The whole is none, on purpose. */
function asText(key: string, entry: KeyEntry): string {
  const lines = Object.entries(entry).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return [
    'The key, which is shown this once and stored nowhere:',
    '',
    key,
    '',
    'What knows it, for `keys` in the configuration of auth-api-key:',
    '',
    ...lines.map((line, index) => (index === 0 ? `- ${line}` : `  ${line}`)),
    '',
  ].join('\n');
}
