import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditFile, CHECKPOINT_DEFAULTS, signingKey } from '@sluice/plugins/audit';
import { afterAll, expect, it } from 'vitest';
import type { ReplayFlags } from './policy-command-line.js';
import { replay } from './replay.js';

/* "I see what a rule would have done yesterday, before it does it tomorrow." */

const NOW_MS = Date.parse('2027-01-31T12:00:00Z');
const folder = mkdtempSync(join(tmpdir(), 'sluice-replay-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = join(folder, 'audit.sqlite');
const audit = new AuditFile({
  file,
  key: signingKey(`${file}.key`),
  now: () => NOW_MS,
  checkpoint: CHECKPOINT_DEFAULTS,
});

interface Recorded {
  readonly tool?: string;
  readonly open?: object;
  readonly personal?: object;
  readonly hoursAgo?: number;
}

const RECORDS: readonly Recorded[] = [
  { tool: 'read', personal: { arguments: { path: '/a' } }, hoursAgo: 30 },
  { tool: 'write', personal: { arguments: { path: '/etc/hosts' }, scopes: ['w'] } },
  { tool: 'write', personal: { arguments: { path: '/a' }, scopes: ['w'] } },
  { tool: 'write', personal: { arguments: { path: '[redacted:email:0123456789ab]' } } },
  { tool: 'write', personal: { arguments_digest: 'hmac-sha256:00' } },
  { tool: 'delete', open: { decision: 'deny', decided_by: 'policy', outcome: 'refused' } },
  { tool: 'write', open: { decision: 'deny', decided_by: 'ratelimit', outcome: 'refused' } },
  { tool: 'read', open: { decision: 'approved', decided_by: 'policy' } },
  { open: { kind: 'gap', lost: 3 } },
  // A client that could not be asked; an approval that was used already; and what was denied by another rule.
  { tool: 'pay', open: { decision: 'deny', decided_by: 'policy', outcome: 'refused' } },
  { tool: 'pay', open: { decision: 'deny', decided_by: 'policy', outcome: 'refused', rule: 'pays' } },
  { tool: 'pay', open: { decision: 'deny', decided_by: 'policy', outcome: 'refused', rule: 'default' } },
];
audit.append(
  RECORDS.map(({ tool, open, personal, hoursAgo = 1 }, index) => {
    const id = `r-${index}`;
    const timeMs = NOW_MS - hoursAgo * 3_600_000 + index;
    const all = {
      kind: 'exchange',
      id,
      time: new Date(timeMs).toISOString(),
      endpoint: '/mcp',
      method: 'tools/call',
      upstream: 'files',
      target: { kind: 'tool', name: tool },
      decision: 'allow',
      outcome: 'ok',
      ...open,
    };
    return {
      id,
      timeMs,
      open: JSON.stringify(all),
      personal: JSON.stringify({ principal: 'ada', ...personal }),
    };
  }),
);
audit.end();

const config = join(folder, 'sluice.yaml');
writeFileSync(
  config,
  `
upstreams:
  files: { url: http://127.0.0.1:9/mcp }
plugins:
  - plugin: policy
    config:
      rules:
        - { id: no-etc, when: 'has(arguments.path) && arguments.path.mayBeBelow("/etc")', outcome: deny, reason: not there }
        - { id: odd, when: '"x-odd" in headers', outcome: deny, reason: odd }
        - { id: reads, when: 'target.name in ["read", "delete"]', outcome: allow }
        - { id: pays, match: { targets: ["files:pay"] }, outcome: ask, ask: { message: Pay? } }
        - { id: writes, when: '"w" in principal.scopes', outcome: allow }
`,
);

async function replayed(flags: Partial<ReplayFlags> = {}, named = config) {
  let [stdout, stderr] = ['', ''];
  const out = { isTTY: false, write: (text: string) => (stdout += text) };
  const err = { isTTY: false, write: (text: string) => (stderr += text) };
  const code = await replay(named, { file, output: 'jsonl', ...flags }, { out, err, nowMs: NOW_MS });
  return { code, stdout, stderr };
}

it('says which decisions would change, and what it cannot know', async () => {
  const { code, stdout, stderr } = await replayed();
  expect(code).toBe(0);
  const lines = stdout.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { seq: 2, before: 'allow', after: 'deny', rule: 'no-etc', reason: 'not there' },
    {
      seq: 4,
      before: 'allow',
      after: 'deny',
      rule: 'default',
      reason: expect.any(String),
      doubt: 'redacted arguments',
    },
    { seq: 6, before: 'deny', after: 'allow', rule: 'reads' },
    { seq: 8, before: 'ask', after: 'allow', rule: 'reads' },
    { seq: 12, before: 'deny', after: 'ask', rule: 'pays' },
  ]);
  expect(stderr).toMatch(
    /^records do not hold headers.*: rules that read it were decided as for a caller without it\n$/,
  );
});

it('counts for people what is left', async () => {
  const { stdout } = await replayed({ output: 'table', since: '24h' });
  expect(stdout).toMatch(/^RECORD +TIME +PRINCIPAL +WHAT +WAS +WOULD BE/);
  expect(stdout).toMatch(/files:write +allow +deny \(no-etc\)/);
  expect(stdout).toContain('5 of 8 decisions would change\n');
  expect(stdout).toContain('1 requests were refused by others than the policy\n');
  expect(stdout).toContain('1 requests cannot be replayed');
});

it.each<[string, Partial<ReplayFlags>, number, RegExp]>([
  ['no records', { file: join(folder, 'none') }, 1, /there is no such file/],
  ['a time that is none', { since: 'soon' }, 2, /--since soon: say how long ago/],
  ['no such policy', { plugin: 'other' }, 3, /has no policy "other"/],
])('refuses %s', async (_, flags, expected, message) => {
  const { code, stderr } = await replayed(flags);
  expect([code, stderr]).toEqual([expected, expect.stringMatching(message)]);
});
