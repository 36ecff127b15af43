import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scriptedModule } from '../../../plugins/src/policy/opa/scripted-module.js';
import { explain } from './explain.js';
import { testPolicy } from './run-cases.js';

/* "I see before I deploy a rule what it does, and why it did what it did." */

const CONFIG = `
upstreams:
  files: { url: http://127.0.0.1:9/mcp }
plugins:
  - plugin: policy
    config:
      mode: audit
      rules:
        - { id: no-etc, when: 'arguments.path.mayBeBelow("/etc")', outcome: deny, reason: not there }
        - { id: tried, when: 'true', outcome: deny, mode: audit }
        - { id: rest, when: 'target.name == "read" || "w" in principal.scopes', outcome: allow }
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-policy-'));
  writeFileSync(join(folder, 'sluice.yaml'), CONFIG);
});
afterAll(() => rmSync(folder, { recursive: true }));

const cases = (text: string) => writeFileSync(join(folder, 'sluice.test.yaml'), text);

async function sluice(command: 'test' | 'explain', ...args: string[]) {
  let [stdout, stderr] = ['', ''];
  const out = { isTTY: false, write: (text: string) => (stdout += text) };
  const err = { isTTY: false, write: (text: string) => (stderr += text) };
  const [first = 'sluice.yaml', second, third = 'sluice.yaml'] = args;
  const flags = second === undefined ? {} : { [first]: second };
  const file = join(folder, second === undefined ? first : third);
  const code = await (command === 'test' ? testPolicy(file, out, err) : explain(file, flags, out, err));
  return { code, stdout: stdout.replaceAll(`${folder}/`, ''), stderr: stderr.replaceAll(`${folder}/`, '') };
}

describe('sluice policy test', () => {
  it('passes what is as expected, and fails what is not', async () => {
    cases(`
cases:
  - { name: a read, request: { tool: files:read, arguments: { path: /a } }, expect: { outcome: allow, rule: rest } }
  - { name: etc, request: { tool: files:read, arguments: { path: /etc/a } }, expect: { reason: not there } }
  - { name: a write, request: { tool: files:write, arguments: { path: /a } }, expect: allow }
`);
    const { code, stdout, stderr } = await sluice('test');
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toBe(
      [
        'policy of sluice.yaml',
        '  ✓ a read',
        '  ✓ etc',
        '  ✗ a write',
        '      outcome: expected allow, got deny',
        '      decided: deny by default',
        '2 of 3 cases passed',
        'sluice policy explain sluice.yaml --case NAME says why',
        '',
      ].join('\n'),
    );
  });

  it.each<[string, RegExp]>([
    ['cases: []', /sluice.test.yaml: cases expected array length/],
    ['cases: [{name: a, request: {}, expect: allow}]', /cases\[0\].request names one of tool/],
    ['cases: [{name: a, request: {tool: read}, expect: allow}]', /cases\[0\].request names its target as/],
    [
      'cases: [{name: a, request: {tool: f:r, times: 2}, expect: allow}]',
      /request.times is for requests that/,
    ],
    ['cases: [{name: a, request: {tool: f:r, at: noon}, expect: allow}]', /cases\[0\].request.at is no time/],
    ['cases: [{name: a, request: {tool: f:r}, expect: maybe}]', /cases\[0\].expect/],
    ['cases: [{name: a, request: {tool: f:r}, wants: allow}]', /wants/],
    ['cases: [', /is no YAML/],
    [
      'plugin: other\ncases: [{name: a, request: {tool: f:r}, expect: allow}]',
      /no policy "other"; it has policy/,
    ],
  ])('refuses %j', async (text, message) => {
    cases(text);
    const { code, stderr } = await sluice('test');
    expect([code, stderr]).toEqual([3, expect.stringMatching(message)]);
  });

  it('says which file it misses', async () => {
    const { code, stderr } = await sluice('test', 'other.yaml');
    expect([code, stderr]).toEqual([3, expect.stringMatching(/^other.test.yaml cannot be read/)]);
  });
});

describe('sluice policy explain', () => {
  it('shows what each rule says, with the values that it read', async () => {
    const { code, stdout } = await sluice(
      'explain',
      'request',
      '{tool: files:write, arguments: {path: /a}, principal: {scopes: [w]}}',
    );
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'tools/call tool files:write',
        '  ✗ no-etc: deny',
        '      ✗ arguments.path.mayBeBelow("/etc")',
        '          arguments.path = "/a"',
        '  ✓ tried: deny, only tried',
        '      ✓ true',
        '  ✓ rest: allow ← decides',
        '      ✗ target.name == "read"',
        '          target.name = "write"',
        '      ✓ "w" in principal.scopes',
        '          principal.scopes = ["w"]',
        'allow by rest',
        'lists show it to this caller',
        '',
      ].join('\n'),
    );
  });

  it.each<[string[], RegExp]>([
    [[], /give a request with --request/],
    [['request', '{tool: files}'], /names its target as upstream:name/],
    [['request', '{tool: "f:r", wants: 1}'], /wants/],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await sluice('explain', ...args);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});

describe('with OPA', () => {
  const CASES = `
cases:
  - { name: allowed, request: { tool: files:read, arguments: { text: a } }, expect: { outcome: allow, rule: opa } }
  - { name: denied, request: { tool: files:read, arguments: { text: a! } }, expect: { outcome: deny, rule: opa, reason: not with that } }
  - { name: asked, request: { tool: files:read, arguments: { text: a? } }, expect: { outcome: ask, rule: opa } }
`;
  const configOf = (opa: object) =>
    JSON.stringify({
      upstreams: [{ name: 'files', url: 'http://127.0.0.1:9/mcp' }],
      plugins: [{ plugin: 'policy', config: { opa } }],
    });
  const passed = (file: string) =>
    `policy of ${file}\n  ✓ allowed\n  ✓ denied\n  ✓ asked\n3 of 3 cases passed\n`;
  const use = (name: string, opa: object) => {
    writeFileSync(join(folder, `${name}.json`), configOf(opa));
    writeFileSync(join(folder, `${name}.test.yaml`), CASES);
  };

  it('compiled, cases are decided and explained by the policy itself', async () => {
    writeFileSync(join(folder, 'policy.wasm'), scriptedModule());
    use('compiled', { wasm: { path: join(folder, 'policy.wasm') } });
    const tested = await sluice('test', 'compiled.json');
    expect(tested).toEqual({ code: 0, stdout: passed('compiled.json'), stderr: '' });
    const explained = await sluice('explain', 'case', 'denied', 'compiled.json');
    expect(explained.stdout).toBe('tools/call tool files:read\ndeny by opa\nlists show it to this caller\n');
  });

  it('elsewhere, they are decided by who is asked, and denied where nobody answers', async () => {
    const says = { a: true, 'a!': { allow: false, reason: 'not with that' }, 'a?': { ask: 'Sure?' } };
    const server = createServer(async (request, response) => {
      const { input } = JSON.parse(await text(request)) as {
        input: { arguments?: { text: keyof typeof says } };
      };
      response.end(JSON.stringify({ result: says[input.arguments?.text ?? 'a'] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    use('elsewhere', { rest: { url: `http://127.0.0.1:${port}/v1/data/a` } });
    const tested = await sluice('test', 'elsewhere.json');
    server.close();
    server.closeAllConnections();
    expect(tested).toEqual({ code: 0, stdout: passed('elsewhere.json'), stderr: '' });
    // What is not decided is nothing that a case could expect.
    const undecided = await sluice('test', 'elsewhere.json');
    expect([undecided.code, undecided.stdout.match(/got failed/g)?.length]).toEqual([1, 3]);
    const { stdout, stderr } = await sluice('explain', 'case', 'allowed', 'elsewhere.json');
    expect(stdout).toContain('deny by opa');
    expect(stderr).toContain('OPA could not be asked');
  });
});
