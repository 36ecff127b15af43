import { builtIn } from '@sluice/plugins';
import { testPlugin } from '@sluice/sdk/testing';
import { describe, expect, test } from 'vitest';
import { EXIT } from './exit-codes.js';
import type { NewKeyFlags } from './keys-command-line.js';
import { createKey } from './new-key.js';

const SECRET = 'a secret of at least thirty-two characters';
const NOW_MS = Date.parse('2026-11-21T10:00:00Z');

function run(
  flags: Partial<NewKeyFlags> = {},
  environment: Record<string, string> = { SLUICE_KEY_SECRET: SECRET },
) {
  const said = { out: '', err: '' };
  const given: NewKeyFlags = { consumer: 'ada', secretEnv: 'SLUICE_KEY_SECRET', output: 'json', ...flags };
  const code = createKey(
    given,
    { environment, nowMs: NOW_MS },
    { write: (text) => (said.out += text) },
    { write: (text) => (said.err += text) },
  );
  return { code, ...said };
}

describe('a new key', () => {
  test('opens a gateway that has its entry and the same secret', async () => {
    const flags = { tenant: 'acme', scopes: ['tools:read,tools:call', 'tools:read admin'], expires: '90d' };
    const { code, out } = run(flags);
    expect(code).toBe(EXIT.ok);
    const { key, entry } = JSON.parse(out);
    expect(entry).toEqual({
      prefix: key.slice(0, 12),
      hash: expect.any(String),
      consumer: 'ada',
      tenant: 'acme',
      scopes: ['tools:read', 'tools:call', 'admin'],
      expires_at: '2027-02-19T10:00:00Z',
    });
    const plugin = builtIn('auth-api-key');
    if (plugin === undefined) throw new Error('there is no auth-api-key');
    const gateway = testPlugin(plugin, { config: { hash_key: SECRET, keys: [entry] }, nowMs: NOW_MS });
    const { identity } = await gateway.call({ headers: { 'x-api-key': key } });
    expect(identity).toMatchObject({ id: 'auth-api-key:"acme"/ada', tenant: 'acme', scopes: entry.scopes });
  });

  test('is printed once, with an entry to paste', () => {
    const { out, err } = run({ output: 'yaml', consumer: 'ada "the first": #1' });
    const [, key = ''] = /^(slk_\S+)$/m.exec(out) ?? [];
    expect(out.split(key)).toHaveLength(2);
    expect(out.split('\n').slice(6)).toEqual([
      `- prefix: "${key.slice(0, 12)}"`,
      expect.stringMatching(/^ {2}hash: "[\w-]{43}"$/),
      '  consumer: "ada \\"the first\\": #1"',
      '',
    ]);
    expect(err).toBe('');
  });

  test.each([
    ['12h', '2026-11-21T22:00:00Z'],
    ['8w', '2027-01-16T10:00:00Z'],
    ['2027-01-31', '2027-01-31T00:00:00Z'],
    ['2027-01-31T12:00:00.5+01:00', '2027-01-31T11:00:00Z'],
  ])('expires in or at %s', (expires, at) => {
    expect(JSON.parse(run({ expires }).out).entry.expires_at).toBe(at);
  });

  test('takes its secret from another variable', () => {
    expect(run({ secretEnv: 'STAGING' }, { STAGING: SECRET }).code).toBe(EXIT.ok);
  });
});

describe('no key is made', () => {
  test.each<[string, Partial<NewKeyFlags>, Record<string, string> | undefined, number, RegExp]>([
    ['without a secret', {}, {}, EXIT.configuration, /SLUICE_KEY_SECRET is not set/],
    ['with an empty one', {}, { SLUICE_KEY_SECRET: '' }, EXIT.configuration, /is not set/],
    ['with a short one', {}, { SLUICE_KEY_SECRET: 'hunter2' }, EXIT.configuration, /has 7 characters/],
    ['for nobody', { consumer: ' ' }, undefined, EXIT.usage, /--consumer needs a name/],
    ['for a name with a line end', { consumer: 'a\nb' }, undefined, EXIT.usage, /--consumer needs a name/],
    ['for an endless tenant', { tenant: 'a'.repeat(129) }, undefined, EXIT.usage, /--tenant needs a name/],
    ['for the past', { expires: '2020-01-01' }, undefined, EXIT.usage, /a time to come/],
    ['for no time', { expires: 'soon' }, undefined, EXIT.usage, /a time to come/],
    ['for no time at all', { expires: '0d' }, undefined, EXIT.usage, /a time to come/],
    ['for a number', { expires: '90' }, undefined, EXIT.usage, /a time to come/],
    ['for more than a clock has', { expires: '999999w' }, undefined, EXIT.usage, /a time to come/],
    ['for a date that is none', { expires: '2027-13-45' }, undefined, EXIT.usage, /a time to come/],
    ['with the secret itself', { secretEnv: `${SECRET}!` }, undefined, EXIT.usage, /name of a variable/],
  ])('%s', (_, flags, environment, exitCode, message) => {
    const { code, out, err } = run(flags, environment);
    expect([code, out]).toEqual([exitCode, '']);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/hunter2|thirty-two/);
  });
});
