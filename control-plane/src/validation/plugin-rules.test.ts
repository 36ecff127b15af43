import { createApiKey } from '@sluice/plugins/credentials';
import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../file/load.js';
import { formatProblem } from './problem.js';

const SECRET = 'a secret of at least thirty-two characters';

function problemsOf(text: string): string[] {
  const environment = { KEY_SECRET: SECRET };
  return parseConfiguration(text, { file: 'sluice.yaml', environment }).problems.map((problem) =>
    formatProblem(problem),
  );
}

const { prefix, hash } = createApiKey(SECRET);

describe('plugins', () => {
  it('are taken with variables put in, whatever their schema holds', () => {
    const { configuration, problems } = parseConfiguration(
      `upstreams: { files: { url: "http://127.0.0.1:1/mcp" } }
plugins:
  - plugin: auth-api-key
    endpoints: [/mcp/files]
    config:
      hash_key: \${KEY_SECRET}
      keys: [{ prefix: ${prefix}, hash: "${hash}", consumer: ada, scopes: [a], claims: { level: 3 } }]
`,
      { file: 'sluice.yaml', environment: { KEY_SECRET: SECRET } },
    );
    expect(problems).toEqual([]);
    expect(configuration?.plugins[0]?.config).toMatchObject({
      hash_key: SECRET,
      keys: [{ claims: { level: 3 } }],
    });
  });

  it.each([
    [
      'authorize',
      '{ permissions: { "fils:*": [a], "files:*": [a], "*s:x": [a], "*:*": [a] } }',
      [['permissions.fils:*', 'there is no upstream fils', 'did you mean files?']],
    ],
    [
      'authorize',
      '{ methods: { "tasks/get": [a] }, resources: { "web:https://a/": [a] } }',
      [['resources.web:https://a/', 'there is no upstream web', 'upstreams are files']],
    ],
    [
      'ratelimit',
      '{ limits: [{ name: a, rate: 1, match: { targets: ["files:a", "File:a"] } }] }',
      [['limits[0].match.targets[1]', 'there is no upstream File', 'did you mean files?']],
    ],
    [
      'cache',
      '{ tools: [{ targets: ["filse:a"], ttl: 1s }] }',
      [['tools[0].targets[0]', 'there is no upstream filse', 'did you mean files?']],
    ],
    // What is refused anyway is not looked at twice.
    ['authorize', '{ permissions: { "fils:*": a } }', []],
  ])('%s with %s: patterns that name no upstream', (plugin, config, warnings) => {
    const { problems } = parseConfiguration(
      `upstreams: { files: { url: "http://127.0.0.1:1/mcp" } }\nplugins: [{ plugin: ${plugin}, config: ${config} }]`,
      { file: 'sluice.yaml', environment: {} },
    );
    expect(
      problems.flatMap(({ severity, path, message, hint, line }) =>
        severity === 'warning' && line === 2 ? [[path.replace('plugins[0].config.', ''), message, hint]] : [],
      ),
    ).toEqual(warnings);
  });

  it.each([
    ['auth-api-key', '{ hash_key: "${NOWHERE}" }', 'hash_key', false],
    ['auth-jwt', '{ keys: [{ secret: "${NOWHERE}" }] }', 'keys[0].secret', false],
    // Nobody says what a field of that name holds.
    ['auth-jwt', '{ key: "${NOWHERE}" }', 'key', false],
    ['./own.js', '{ key: "${NOWHERE}" }', 'key', false],
    ['auth-jwt', '{ issuer: "${NOWHERE}" }', 'issuer', true],
    ['ratelimit', '{ limits: [{ tier_by: "${NOWHERE}" }] }', 'limits[0].tier_by', true],
  ])('%s with %s: a default is proposed unless it may be a secret', (plugin, config, field, offered) => {
    const said = problemsOf(`plugins: [{ config: ${config}, plugin: ${plugin} }]`).find((problem) =>
      problem.includes(`plugins[0].config.${field}: the environment variable NOWHERE is not set`),
    );
    expect(said).toContain(offered ? '${NOWHERE:-default}' : 'hint: set it where the gateway is started');
  });

  it.each([
    ['plugins: {}', 'sluice.yaml:1:10: error: plugins: a mapping where a list belongs'],
    ['plugins: [{}]', 'sluice.yaml:1:11: error: plugins[0].plugin: missing'],
    ['plugins: [auth-api-kye]', 'did you mean auth-api-key?'],
    ['plugins: [nothing-of-ours]', 'a package is written npm:nothing-of-ours'],
    ['plugins: [{ plugin: ./own.js }]', 'sluice.yaml:1:11: error: plugins[0].hash: missing'],
    ['plugins: [{ plugin: ./own.js, hash: sha256-x }]', 'plugins[0].hash: not a hash'],
    ['plugins: [{ plugin: auth-api-key, name: "a b" }]', 'plugins[0].name: not a name'],
    ['plugins: [{ plugin: auth-api-key, endpoints: [/mcp/fles] }]', 'there is no endpoint /mcp/fles'],
    [
      'plugins: [{ plugin: auth-api-key, may_fetch: ["https://a/b"] }]',
      'plugins[0].may_fetch[0]: not an origin',
    ],
    ['plugins: [{ plugin: auth-api-key, colour: red }]', 'plugins[0].colour: unknown key'],
    [
      'plugins: [{ plugin: auth-api-key, config: { hash_key: short } }]',
      'plugins[0].config.hash_key: expected string length',
    ],
    ['plugins: [{ plugin: auth-api-key, config: 3 }]', 'a single value where a mapping belongs'],
    ['plugins: [{ plugin: auth-api-key, isolation: far }]', '`far` is not one of'],
    ['plugins: [{ plugin: validate, isolation: pool }]', 'validate reads definition, which cannot be sent'],
  ])('are refused with the place and a way out: %s', (text, message) => {
    expect(problemsOf(text).join('\n')).toContain(message);
  });

  it('need names of their own where one plugin is used twice', () => {
    const use = '{ plugin: auth-api-key, config: { hash_key: "${KEY_SECRET}" } }';
    expect(problemsOf(`plugins: [${use}, ${use}]`).join()).toContain('plugins[0] is named auth-api-key too');
  });

  it('never show a value of theirs in a message', () => {
    const text = 'plugins: [{ plugin: auth-api-key, config: { hash_key: "hunter2" } }]';
    expect(problemsOf(text).join()).not.toContain('hunter2');
  });

  it('that know callers on all endpoints open other addresses than loopback', () => {
    const listening = (plugins: string) =>
      problemsOf(`gateway: { listen: { host: 0.0.0.0 } }\nplugins: [${plugins}]`);
    const key = (more: string) => `{ plugin: auth-api-key, config: { hash_key: "\${KEY_SECRET}" }${more} }`;
    expect(listening('').join()).toContain('nothing asks them who they are');
    expect(listening(key('')).join()).not.toContain('nothing asks them');
    expect(listening(key(', endpoints: [/mcp]')).join()).toContain('nothing asks them');
    expect(listening(key(', disabled: true')).join()).toContain('nothing asks them');
  });
});
