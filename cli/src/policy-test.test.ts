import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explain } from './policy-explain.js';
import { testPolicy } from './policy-test.js';

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
  const flags = Object.fromEntries(args.length < 2 ? [] : [[args[0], args[1]]]);
  const file = join(folder, args.length === 1 ? (args[0] as string) : 'sluice.yaml');
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
