import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toJson } from '@bufbuild/protobuf';
import { keyOf, keyText, ResourceSchema } from '@sluice/proto/cluster';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../validation/problem.js';
import { loadResourceFile, parseResources, repeatedResources } from './resources.js';
import { formatYaml } from './yaml-value.js';

const parse = (text: string, file = 'resources.yaml') => parseResources(text, { file });

/** The resources of a text in which nothing is wrong, as JSON. */
function read(text: string, file?: string) {
  const { resources, problems } = parse(text, file);
  expect(problems).toEqual([]);
  return resources.map(({ resource }) => toJson(ResourceSchema, resource, { useProtoFieldName: true }));
}

function problemsOf(text: string) {
  return parse(text).problems.map((problem) => formatProblem(problem).replace('\n  hint:', ' |'));
}

describe('documents', () => {
  test('hold one resource each, in the words of files', () => {
    const text = `
tenant: acme
regions: [eu]
labels: { team: search }
upstream:
  name: files
  url: https://files.example.com/mcp
  timeout: 90s
  max_message_bytes: 1 MiB
  era: modern
---
# nothing here
---
virtual_server: { name: team, tools: [{ upstream: files, name: "*" }] }
---
limit: { name: calm, requests: 10, per: hour }
`;
    expect(read(text)).toEqual([
      {
        tenant: 'acme',
        regions: ['eu'],
        labels: { team: 'search' },
        upstream: {
          name: 'files',
          http: { url: 'https://files.example.com/mcp' },
          timeout: '90s',
          max_message_bytes: 1048576,
          era: 'ERA_MODERN',
        },
      },
      { virtual_server: { name: 'team', tools: [{ upstream: 'files', name: '*' }] } },
      { limit: { name: 'calm', requests: 10, per: 'LIMIT_PERIOD_HOUR' } },
    ]);
  });

  test('may stand in a list, and in JSON', () => {
    expect(read('[{"region": {"name": "eu"}}, {"tenant_spec": {"name": "acme"}}]', 'a.json')).toEqual([
      { region: { name: 'eu' } },
      { tenant_spec: { name: 'acme' } },
    ]);
  });

  test('come back as they were written', () => {
    const [once] = read(
      'upstream: { name: files, websocket: { url: "wss://a/mcp" }, connect_timeout: 1.5s, hidden: true, on_session_loss: end }',
    );
    expect(read(formatYaml(once))).toEqual([once]);
  });

  test.each([
    [
      'upstream: { nam: files }',
      'resources.yaml:1:13: error: upstream.nam: unknown key | did you mean name?',
    ],
    ['upstrem: { name: a }', 'resources.yaml:1:1: error: upstrem: unknown key | did you mean upstream?'],
    ['tenant: acme', 'resources.yaml:1:1: error: this is no resource | a resource is what it is'],
    [
      'upstream: { name: a }\nlimit: { name: b }',
      'resources.yaml:2:1: error: limit: a second resource in one document | write each in a document',
    ],
    [
      'apiVersion: v1\nkind: Upstream\nmetadata: { name: a }',
      'resources.yaml:1:1: error: apiVersion: unknown key | a resource is what it is',
    ],
    [
      'region: { name: a }\n---\nlimit: { name: b, requests: many }',
      'resources.yaml:3:29: error: limit.requests',
    ],
    ['region: { name: a }\n---\n{', 'resources.yaml:3:'],
    ['just text', 'resources.yaml:1:1: error: a single value where a mapping belongs'],
    ['', 'resources.yaml: error: there is no resource in it'],
  ])('%j is refused', (text, start) => {
    expect(problemsOf(text)[0]).toContain(start);
  });
});

describe('a configuration', () => {
  const text = `
gateway: { naming: { separator: "-" } }
upstreams:
  files: { url: "https://files.example.com/mcp", headers: { Authorization: "Bearer \${FILES_TOKEN}" } }
  local: { command: npx, args: [-y, server] }
plugins:
  - auth-api-key
  - plugin: ratelimit
    name: calm
    config: { limits: [{ name: a, rate: 5, per: minute }] }
consumers:
  - name: ada
`;

  test('is the resources of its parts, and its references to variables stay', () => {
    expect(read(text)).toEqual([
      { gateway: { naming: { separator: '-' } } },
      {
        upstream: {
          name: 'files',
          http: {
            url: 'https://files.example.com/mcp',
            headers: { Authorization: 'Bearer ${FILES_TOKEN}' },
          },
        },
      },
      { upstream: { name: 'local', stdio: { command: 'npx', args: ['-y', 'server'] } } },
      { plugin: { plugin: 'auth-api-key', order: 0 } },
      {
        plugin: {
          plugin: 'ratelimit',
          name: 'calm',
          order: 1,
          config: { limits: [{ name: 'a', rate: 5, per: 'minute' }] },
        },
      },
      { consumer: { name: 'ada' } },
    ]);
  });

  test('of a desktop client is its servers', () => {
    expect(read('{"mcpServers": {"time": {"command": "uvx", "args": ["time"]}}}', 'desktop.json')).toEqual([
      { upstream: { name: 'time', stdio: { command: 'uvx', args: ['time'] } } },
    ]);
  });

  test('finds what is wrong with a field where it stands', () => {
    const { resources } = parse(text);
    const place = (key: string, path: string) => {
      const written = resources.find(({ resource }) => keyText(keyOf(resource) as never) === key);
      const located = written?.locate({ severity: 'error', path, message: '', hint: '' });
      return `${located?.line}:${located?.column}`;
    };
    expect(place('upstream//files', 'http.url')).toBe('4:17');
    expect(place('plugin//calm', 'config.limits[0].rate')).toBe('10:41');
    expect(place('consumer//ada', 'name')).toBe('12:11');
    // What does not stand there has the place of what holds it.
    expect(place('consumer//ada', 'scopes[0]')).toBe('12:5');
  });
});

test('a field of the resource itself has its place, too', () => {
  const [written] = parse('regions: [eu, us]\nupstream: { name: a, url: "http://a/mcp" }').resources;
  const problem = { severity: 'error', message: '', hint: '' } as const;
  expect(written?.locate({ ...problem, path: 'regions[1]' })).toMatchObject({ line: 1, column: 15 });
  expect(written?.locate({ ...problem, path: 'http.url' })).toMatchObject({ line: 2, column: 27 });
});

test('what stands twice is found', () => {
  const { resources } = parse('region: { name: eu }\n---\nregion: { name: us }\n---\nregion: { name: eu }');
  expect(repeatedResources(resources).map((problem) => formatProblem(problem).split('\n')[0])).toEqual([
    'resources.yaml:5:9: error: region: region/eu stands twice',
  ]);
});

test('a file is read, and one that is not there is a problem', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-resources-'));
  const file = join(folder, 'a.yaml');
  writeFileSync(file, 'region: { name: eu }');
  expect((await loadResourceFile(file)).resources).toHaveLength(1);
  rmSync(folder, { recursive: true });
  expect((await loadResourceFile(file)).problems).toMatchObject([{ message: 'there is no such file' }]);
});
