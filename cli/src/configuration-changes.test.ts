import { parseConfiguration } from '@sluice/control-plane';
import { resolveConfiguration } from '@sluice/proto';
import { expect, test } from 'vitest';
import { configurationChanges } from './configuration-changes.js';

function resolved(text: string) {
  const { configuration, problems } = parseConfiguration(text, { file: 'sluice.yaml', environment: {} });
  if (configuration === undefined) throw new Error(JSON.stringify(problems));
  return resolveConfiguration(configuration);
}

const upstreams = (...names: string[]) =>
  `upstreams: { ${names.map((name) => `${name}: { url: "http://127.0.0.1:1/${name}" }`).join(', ')} }\n`;
const changes = (before: string, after: string) => configurationChanges(resolved(before), resolved(after));

test('what came, went and became another one is named', () => {
  const before = `${upstreams('a', 'b', 'c')}plugins: [{ plugin: cors, config: { allowed_origins: ["https://a.example"] } }]`;
  const after = `upstreams: { b: { url: "http://127.0.0.1:1/other" }, c: { url: "http://127.0.0.1:1/c" }, d: { url: "http://127.0.0.1:1/d" } }
plugins: [security-headers, { plugin: cors, config: { allowed_origins: ["https://b.example"] } }]`;
  expect(changes(before, after)).toEqual({
    upstreams: 3,
    upstreamsAdded: ['d'],
    upstreamsRemoved: ['a'],
    upstreamsChanged: ['b'],
    plugins: 2,
    pluginsAdded: ['security-headers'],
    pluginsChanged: ['cors'],
  });
  expect(JSON.stringify(changes(before, after))).not.toContain('example');
});

test('another order is one, and settings of the gateway are named as a file names them', () => {
  const both = upstreams('a');
  const plugins = ['security-headers', '{ plugin: request-limit, config: { max_body_bytes: 1024 } }'];
  expect(
    changes(
      `${both}plugins: [${plugins.join(', ')}]`,
      `${both}plugins: [${plugins.reverse().join(', ')}]\ngateway: { shutdown_grace: 7s, log: { level: warn } }`,
    ),
  ).toEqual({ upstreams: 1, plugins: 2, pluginsReordered: true, gatewayChanged: ['log', 'shutdown_grace'] });
});

test('of many names the first are told', () => {
  const names = Array.from({ length: 25 }, (_, index) => `u${index}`);
  const { upstreamsAdded } = changes(upstreams('a'), upstreams('a', ...names));
  expect(upstreamsAdded).toEqual([...names.slice(0, 20), 'and 5 more']);
});
