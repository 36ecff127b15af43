import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv';
import { describe, expect, it } from 'vitest';
import { allBlocks, ROOT } from './pages.js';

/* "I write a configuration, and my editor tells me what is wrong." */

const require = createRequire(join(ROOT, 'control-plane/package.json'));
const { parse } = require('yaml') as { parse: (text: string) => unknown };
const schema = JSON.parse(readFileSync(join(ROOT, 'control-plane/gen/config.schema.json'), 'utf8'));
const check = new AjvJsonSchemaValidator().getValidator(schema);

/** Cases of a policy stand beside its configuration, and are none. */
const EXAMPLES = readdirSync(join(ROOT, 'docs/examples')).filter(
  (name) => name.endsWith('.yaml') && !name.endsWith('.test.yaml'),
);
const BLOCKS = allBlocks().filter(({ language, file }) => language === 'yaml' && file === undefined);

describe('the schema for editors', () => {
  it.each(EXAMPLES)('takes %s', (name) => {
    const text = readFileSync(join(ROOT, 'docs/examples', name), 'utf8');
    expect(check(parse(text)).errorMessage).toBeUndefined();
  });

  it.each(BLOCKS)('takes $page:$line', ({ text }) => {
    expect(check(parse(text)).errorMessage).toBeUndefined();
  });

  it.each([
    ['a name alone', 'security-headers'],
    ['a plugin that needs no configuration', { plugin: 'anonymous' }],
    ['an empty configuration', { plugin: 'anonymous', config: null }],
    ['a variable where a text is limited', { plugin: 'auth-api-key', config: { hash_key: '${KEY}' } }],
    ['what does not come with the gateway', { plugin: './own.js', hash: 'sha256-x', config: { any: 1 } }],
    ['both spellings', { plugin: 'anonymous', onFailure: 'deny' }],
  ])('takes %s', (_, plugin) => {
    expect(check({ plugins: [plugin] }).errorMessage).toBeUndefined();
  });

  it.each([
    ['a plugin that there is none of', { plugin: 'auth-jwtt' }],
    ['a field that the plugin does not have', { plugin: 'anonymous', config: { scope: ['a'] } }],
    ['a field of another plugin', { plugin: 'anonymous', config: { hash_key: '${KEY}' } }],
    ['a configuration that is missing', { plugin: 'auth-api-key' }],
    ['a field that is missing', { plugin: 'ratelimit', config: { limits: [{ name: 'calls' }] } }],
    ['a number in quotes', { plugin: 'ratelimit', config: { limits: [{ name: 'calls', rate: '10' }] } }],
    ['a number beyond its limits', { plugin: 'ratelimit', config: { limits: [{ name: 'c', rate: 0 }] } }],
    ['a text of the wrong form', { plugin: 'auth-basic', config: { users: [], cache_ttl: 'soon' } }],
    ['a word that means nothing', { plugin: 'authorize', config: { scope_mode: 'some' } }],
  ])('refuses %s', (_, plugin) => {
    expect(check({ plugins: [plugin] }).valid).toBe(false);
  });
});
