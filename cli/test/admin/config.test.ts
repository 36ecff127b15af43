import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AdminCluster, startAdminCluster, TOKENS } from '../../../control-plane/test/admin-cluster.js';
import { makeTestCertificate } from '../../../data-plane/src/upstream/transport/test-certificate.js';
import { EXIT } from '../../src/exit-codes.js';
import { sluice, type Typed } from './command.js';

/* "I change the configuration of a cluster, and see what became of it." Over the real admin API and a real store. */

let cluster: AdminCluster;
let folder: string;
beforeEach(async () => {
  cluster = await startAdminCluster();
  folder = mkdtempSync(join(tmpdir(), 'sluice-admin-'));
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  await cluster.close();
});

function as(token: string, argv: readonly string[], typed: Typed = {}) {
  const environment = { SLUICE_ADMIN_TOKEN: token };
  return sluice([...argv, '--server', `127.0.0.1:${cluster.api.port}`], { environment, ...typed });
}
const config = (...argv: string[]) => as(TOKENS.admin, ['config', ...argv]);

function file(text: string, name = 'sluice.yaml'): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const FIRST = `
upstreams:
  files: { url: "http://127.0.0.1:9/mcp", headers: { Authorization: "Bearer secret" } }
  maps: { url: "http://127.0.0.1:9/mcp", timeout: 10s }
plugins: [anonymous]
`;
const SECOND = `
upstreams:
  files: { url: "http://127.0.0.1:9/other", headers: { Authorization: "Bearer secret" } }
consumers: [{ name: ada }]
`;

describe('apply', () => {
  test('makes one revision of a file, and none of the same again', async () => {
    const path = file(FIRST);
    expect(await config('apply', '-f', path, '-m', 'first')).toEqual({
      code: EXIT.ok,
      out: [
        '+ plugin/anonymous',
        '+ upstream/files',
        '+ upstream/maps',
        'revision 1 holds: 3 created',
        '',
      ].join('\n'),
      err: '',
    });
    const again = await config('apply', '-f', path);
    expect(again).toEqual({ code: EXIT.ok, out: 'nothing to change; revision 1 holds\n', err: '' });
  });

  test('leaves what is not in the file, or removes it with --prune', async () => {
    await config('apply', '-f', file(FIRST));
    const kept = await config('apply', '-f', file(SECOND));
    expect(kept.out).toBe(
      '+ consumer/ada\n~ upstream/files   http.url\nrevision 2 holds: 1 created, 1 changed\n',
    );
    const pruned = await config('apply', '-f', file(SECOND), '--prune');
    expect(pruned.out).toBe('- plugin/anonymous\n- upstream/maps\nrevision 3 holds: 2 removed\n');
  });

  test('says when nobody is asked any more who they are, and does it', async () => {
    const keys = '{ plugin: auth-api-key, config: { hash_key: "${secret:keys}" } }';
    await config('apply', '-f', file(`plugins: [${keys}]`));
    const said =
      'warning: plugin/auth-api-key: nobody is asked who they are at all endpoints any more\n' +
      '  hint: keep a plugin that knows callers (auth-…) in the same step, unless everybody may come in\n';
    const tried = await config('apply', '-f', file(FIRST), '--prune', '--dry-run');
    expect([tried.code, tried.err]).toEqual([EXIT.ok, said]);
    const { code, err } = await config('delete', 'plugin/auth-api-key');
    expect([code, err]).toEqual([EXIT.ok, said]);
  });

  test('--prune keeps to its scope', async () => {
    await config('apply', '-f', file(FIRST));
    const ofAcme = file(
      'tenant_spec: { name: acme }\n---\ntenant: acme\nupstream: { name: maps, url: "http://a/mcp" }',
    );
    expect(await config('apply', '-f', ofAcme)).toMatchObject({ code: EXIT.ok });
    const path = file(SECOND);
    const ofTenant = ['apply', '-f', path, '--dry-run', '--prune', '-t', 'acme'];
    expect((await config(...ofTenant)).out).toContain('- upstream/acme/maps\n');
    expect((await config(...ofTenant)).out).not.toContain('- upstream/maps\n');
    const ofKind = await config('apply', '-f', path, '--dry-run', '--prune', '--prune-kind', 'plugin');
    expect(ofKind.out).toContain('- plugin/anonymous\n');
    expect(ofKind.out).not.toContain('maps');
    expect(await config('apply', '-f', path, '--prune-kind', 'plugin')).toMatchObject({
      code: EXIT.usage,
      err: expect.stringContaining('what --prune may remove'),
    });
  });

  test('--dry-run shows every field, no secret, and changes nothing', async () => {
    await config('apply', '-f', file(FIRST));
    const { code, out } = await config('apply', '-f', file(SECOND), '--dry-run');
    expect(out).toBe(
      [
        '+ consumer/ada',
        '+   name: ada',
        '~ upstream/files',
        '-   http.url: http://127.0.0.1:9/mcp',
        '+   http.url: http://127.0.0.1:9/other',
        '1 created, 1 changed (dry run, nothing was changed)',
        '',
      ].join('\n'),
    );
    expect(code).toBe(EXIT.ok);
    expect((await config('get', 'upstream/files')).out).toContain('http://127.0.0.1:9/mcp');
    expect((await config('apply', '-f', file(FIRST), '-t', 'acme', '--dry-run')).out).not.toContain('secret');
  });

  test('--dry-run shows of a long value where it differs, and how long it is', async () => {
    const long = (text: string) => file(`consumers: [{ name: ada, claims: { text: "${text}" } }]`);
    const x = (count: number) => 'x'.repeat(count);
    const first = await config('apply', '-f', long(`${x(300)}old`), '--dry-run');
    expect(first.out).toContain(`+   claims.text: ${x(200)}… (303 characters)\n`);
    await config('apply', '-f', long(`${x(300)}old`));
    const end = await config('apply', '-f', long(`${x(300)}new${x(300)}`), '--dry-run');
    expect(end.out).toContain(`-   claims.text: …${x(40)}old (303 characters)\n`);
    expect(end.out).toContain(`+   claims.text: …${x(40)}new${x(157)}… (603 characters)\n`);
  });

  test('shows that a secret is another one, and neither of the two', async () => {
    await config('apply', '-f', file(FIRST));
    const { out } = await config(
      'apply',
      '-f',
      file(FIRST.replace('Bearer secret', 'Bearer other')),
      '--dry-run',
    );
    const mark = 'redacted:http.headers.Authorization';
    expect(out).toBe(
      `~ upstream/files\n-   http.headers.Authorization: [${mark}]\n+   http.headers.Authorization: [${mark}, changed]\n` +
        '1 changed (dry run, nothing was changed)\n',
    );
  });

  test('shows words as files have them', async () => {
    const path = file(
      'upstream: { name: time, command: uvx, sharing: per-session, era: modern, timeout: 1m30s }',
    );
    expect((await config('apply', '-f', path, '--dry-run')).out).toContain(
      '+   stdio.sharing: per_session\n',
    );
    await config('apply', '-f', path);
    expect((await config('get', 'upstream/time')).out).toContain(
      '    sharing: per_session\n  era: modern\n  timeout: 90s\n',
    );
  });

  test('takes many files, folders and stdin', async () => {
    mkdirSync(join(folder, 'more'));
    file('region: { name: eu }', 'more/b.yml');
    file('[{ "tenant_spec": { "name": "acme" } }]', 'more/a.json');
    file('nothing of ours', 'more/readme.md');
    const { out } = await as(TOKENS.admin, ['config', 'apply', '-f', join(folder, 'more'), '-f', '-'], {
      input: 'upstream: { name: time, command: uvx }\n---\nupstream: { name: files, url: "http://a/mcp" }',
    });
    expect(out).toContain('revision 1 holds: 4 created');
  });

  test('what is wrong has its place, its reason and a way out; nothing is changed', async () => {
    const path = file(`upstreams:
  files:
    url: ftp://127.0.0.1/mcp
endpoints:
  - name: team
    path: /mcp/team
    upstreams: [fils]
`);
    const { code, out, err } = await config('apply', '-f', path);
    expect([code, out]).toEqual([EXIT.configuration, '']);
    expect(err).toMatch(
      new RegExp(
        `^${path}:3:10: error: upstream/files: http.url: the scheme ftp is none of .*\\n {2}hint: .*$`,
        'm',
      ),
    );
    expect(err).toMatch(
      new RegExp(`^${path}:7:17: error: endpoint/team: upstreams\\[0\\]: there is no .*fils`, 'm'),
    );
    expect(err).toMatch(/^sluice: nothing was changed: 2 errors$/m);
    expect(JSON.parse((await config('history', '-o', 'json')).out)).toEqual({ revisions: [] });
    expect(cluster.head.revision).toBe(0);
  });

  test('nothing that stands in a file moves the cursor', async () => {
    const path = file('endpoints: [{ name: team, path: /mcp/team, upstreams: ["\\e[2Jx"] }]');
    const { code, out, err } = await config('apply', '-f', path);
    expect([code, out]).toEqual([EXIT.configuration, '']);
    expect(err).toContain('\\x1b[2Jx');
    expect(err).not.toContain('\u001b');
  });

  test('what no file may hold is found before anybody is asked', async () => {
    const path = file('upstreams:\n  files: { ulr: "http://a/mcp" }');
    const { code, err } = await sluice(['config', 'apply', '-f', path, '--server', '127.0.0.1:1']);
    expect(code).toBe(EXIT.configuration);
    expect(err).toBe(`${path}:2:12: error: upstreams[0].ulr: unknown key\n  hint: did you mean url?\n`);
  });

  test('is refused when somebody else was first, and says who', async () => {
    await config('apply', '-f', file(FIRST));
    await as(TOKENS.operator, ['config', 'apply', '-f', file(SECOND)]);
    const late = await config('apply', '-f', file(FIRST), '--expect-revision', '1');
    expect([late.code, late.out]).toEqual([EXIT.conflict, '']);
    expect(late.err).toMatch(/made on revision 1, and token\/otto has made 2, which changed/);
    expect(late.err).toContain(
      'hint: look at it with sluice config diff 1 2, and apply again with --expect-revision 2',
    );
  });

  test('with one idempotency key is made once', async () => {
    const first = await config('apply', '-f', file(FIRST), '--idempotency-key', 'deploy-7');
    const second = await config('apply', '-f', file(FIRST), '--idempotency-key', 'deploy-7');
    expect(second.out).toBe(first.out);
    expect(cluster.head.revision).toBe(1);
  });

  test('answers programs in JSON', async () => {
    const { out } = await config('apply', '-f', file(FIRST), '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({
      revision: '1',
      changes: [{ key: { name: 'anonymous' } }, {}, {}],
    });
  });
});

describe('delete', () => {
  const OF_ACME = 'tenant_spec: { name: acme }\n---\ntenant: acme\nconsumer: { name: eve }\n';
  beforeEach(async () => {
    await config('apply', '-f', file(FIRST));
    await config('apply', '-f', file(OF_ACME));
  });

  test('removes what is named and what files hold, in one revision', async () => {
    const path = file('consumer: { name: eve }\n', 'more.yaml');
    const removed = await config('delete', 'upstream/maps', 'plugins/anonymous', '-m', 'over', '--dry-run');
    expect(removed.out).toContain('- upstream/maps\n-   name: maps\n');
    expect(cluster.head.revision).toBe(2);
    expect(await config('delete', 'upstream/maps', '-f', path, '-t', 'acme')).toMatchObject({
      code: EXIT.refused,
      out: '',
      err: expect.stringContaining('there is no upstream maps of the tenant acme'),
    });
    expect(await config('delete', 'consumer/acme/eve', 'upstream/maps', 'upstream/maps')).toEqual({
      code: EXIT.ok,
      out: '- consumer/acme/eve\n- upstream/maps\nrevision 3 holds: 2 removed\n',
      err: '',
    });
    await config('apply', '-f', file(OF_ACME));
    expect((await config('delete', '-f', path, '-t', 'acme')).out).toBe(
      '- consumer/acme/eve\nrevision 5 holds: 1 removed\n',
    );
  });

  test('removes nothing when one of them is not there, is needed, or was changed meanwhile', async () => {
    expect(await config('delete', 'upstream/maps', 'upstream/mops')).toEqual({
      code: EXIT.refused,
      out: '',
      err: 'sluice: there is no upstream mops\n  hint: sluice config get shows what there is\n',
    });
    const needed = await config('delete', 'tenant/acme');
    expect([needed.code, needed.err]).toEqual([
      EXIT.configuration,
      expect.stringContaining('consumer/acme/eve: tenant: there would be no tenant acme'),
    ]);
    const late = await config('delete', 'upstream/maps', '--expect-revision', '1');
    expect([late.code, late.err]).toEqual([EXIT.conflict, expect.stringContaining('consumer/acme/eve')]);
    expect(cluster.head.revision).toBe(2);
  });

  test('waits for nodes, and is done once', async () => {
    cluster.join('eu-1', 'eu');
    const removed = config('delete', 'upstream/maps', '--wait', 'all', '--idempotency-key', 'once');
    await until(() => cluster.head.revision === 3);
    cluster.runs('eu-1');
    expect((await removed).out).toContain('1/1 node runs revision 3\n');
    const again = await config('delete', 'upstream/maps', '--idempotency-key', 'once');
    expect([again.code, again.out]).toEqual([EXIT.ok, '- upstream/maps\nrevision 3 holds: 1 removed\n']);
  });

  test('of a foreign tenant is refused, whether it is there or not', async () => {
    const deleted = (name: string) =>
      as(TOKENS.acmeOperator, ['config', 'delete', `consumer/globex/${name}`]);
    const { code, err } = await deleted('eve');
    expect([code, err]).toEqual([EXIT.refused, expect.stringContaining('no right to the tenant globex')]);
    const operators = await as(TOKENS.acmeOperator, ['config', 'delete', 'upstream/maps']);
    const missing = await as(TOKENS.acmeOperator, ['config', 'delete', 'upstream/mops']);
    expect(operators.code).toBe(EXIT.refused);
    expect(missing).toEqual(operators);
  });

  test.each([
    [[], /name resources, such as upstream\/files, or files with -f/],
    [['upstream'], /upstream names no resource; write kind\/name/],
    [['upstrem/x'], /there is no kind upstrem/],
    [['upstream/'], /upstream\/ names nothing behind the stroke/],
    [['upstream/acme/x', '-t', 'globex'], /is of the tenant acme, and --tenant says globex/],
  ])('%j says what is missing', async (argv, message) => {
    const { code, out, err } = await config('delete', ...argv);
    expect([code, out]).toEqual([EXIT.usage, '']);
    if (argv.length > 0) expect(err).toMatch(message);
  });
});

describe('waiting', () => {
  beforeEach(async () => {
    await config('apply', '-f', file(FIRST));
    cluster.join('eu-1', 'eu');
    cluster.join('us-1', 'us');
    cluster.runs('eu-1');
  });

  test('ends well when those run it that it is for', async () => {
    expect(await config('wait', '--for', 'region:eu')).toEqual({
      code: EXIT.ok,
      out: '1/1 node runs revision 1\n',
      err: '',
    });
  });

  test('says who is behind', async () => {
    const { code, err } = await config('wait', '1', '--deadline', '50ms');
    expect(code).toBe(EXIT.behind);
    expect(err).toBe('sluice: 1/2 nodes run revision 1; behind revision 1:\n  us-1  runs nothing yet\n');
  });

  test('of a change says why a node refused it; the change is made', async () => {
    const applied = as(TOKENS.admin, ['config', 'apply', '-f', file(SECOND), '--wait', 'all'], {
      isTerminal: true,
    });
    await until(() => cluster.head.revision === 2);
    cluster.runs('eu-1');
    cluster.refuses('us-1', 2, 'no secret TOKEN');
    const { code, out, err } = await applied;
    expect(code).toBe(EXIT.behind);
    expect(out).toContain('revision 2 holds: 1 created, 1 changed');
    expect(err).toContain('us-1  refused: no secret TOKEN\n');
  });

  test('on a terminal shows how far it has come, and leaves nothing of that', async () => {
    const shown = '1/2 nodes run revision 1 · behind: us-1 (runs nothing yet)';
    let isShown = false;
    const { code, out, err } = await as(TOKENS.admin, ['config', 'wait'], {
      isTerminal: true,
      onErr(text) {
        if (isShown || !text.includes(shown)) return;
        isShown = true;
        cluster.runs('us-1');
      },
    });
    expect([code, out]).toEqual([EXIT.ok, '\u001b[32m2/2 nodes run revision 1\u001b[39m\n']);
    expect(isShown).toBe(true);
    expect(err.endsWith('\r\u001b[K')).toBe(true);
  });

  test('for a region that has no node is no success', async () => {
    const { code, err } = await config('wait', '--for', 'region:mars', '--deadline', '50ms');
    expect(code).toBe(EXIT.behind);
    expect(err).toMatch(/^sluice: there is no node that could run revision 1: .* none in that region\n$/);
  });
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('looking', () => {
  beforeEach(async () => {
    await config('apply', '-f', file(FIRST), '-m', 'first');
    await config('apply', '-f', file(SECOND), '-m', 'second');
  });

  test('get shows all, a kind, one, and those of a filter', async () => {
    expect((await config('get', '-o', 'name')).out).toBe(
      'upstream/files\nupstream/maps\nconsumer/ada\nplugin/anonymous\n',
    );
    expect((await config('get', 'upstream')).out).toMatch(
      /^KIND +TENANT +NAME +REVISION +AGE\nupstream +files +2 +\d+d\nupstream +maps +1 +\d+d\n$/,
    );
    expect((await config('get', 'upstreams', '--filter', 'name=m*', '-o', 'name')).out).toBe(
      'upstream/maps\n',
    );
    expect((await config('get', 'upstream/maps')).out).toBe(
      'revision: 1\nupstream:\n  name: maps\n  http:\n    url: http://127.0.0.1:9/mcp\n  timeout: 10s\n',
    );
    expect((await config('get', 'upstream/files', '--revision', '1')).out).toContain('127.0.0.1:9/mcp');
    expect(JSON.parse((await config('get', 'consumer', '-o', 'json')).out)).toEqual([
      { revision: '2', consumer: { name: 'ada' } },
    ]);
  });

  test('get finds one of a tenant that nobody named, and says what was not there yet', async () => {
    await config(
      'apply',
      '-f',
      file('tenant_spec: { name: acme }\n---\ntenant: acme\nconsumer: { name: eve }\n'),
    );
    expect((await config('get', '-o', 'name')).out).toContain('consumer/ada\nconsumer/acme/eve\n');
    expect((await config('get', 'consumer/acme/eve', '-o', 'name')).out).toBe('consumer/acme/eve\n');
    expect((await config('get', 'consumer/eve')).out).toBe(
      'revision: 3\ntenant: acme\nconsumer:\n  name: eve\n',
    );
    expect(await config('get', 'consumer/eve', '--revision', '2')).toEqual({
      code: EXIT.refused,
      out: '',
      err: 'sluice: there was no consumer/eve at revision 2\n',
    });
    expect(await config('get', 'consumer/ada', '--tenant', 'acme')).toMatchObject({
      code: EXIT.refused,
      out: '',
    });
  });

  test('wait says when there is nobody to wait for', async () => {
    expect(await config('wait', '2')).toEqual({
      code: EXIT.ok,
      out: 'no node is there; those that come will run revision 2\n',
      err: '',
    });
  });

  test('what get shows can be applied again, secrets included', async () => {
    const { out } = await config('get', '-o', 'yaml');
    expect(out).not.toContain('Bearer');
    const applied = await as(TOKENS.admin, ['config', 'apply', '-f', '-'], { input: out });
    expect(applied.out).toBe('nothing to change; revision 2 holds\n');
  });

  test('diff shows what changed, between revisions or by a file', async () => {
    const shown = '+ consumer/ada\n+   name: ada\n~ upstream/files\n-   http.url: http://127.0.0.1:9/mcp\n';
    expect((await config('diff')).out).toContain(shown);
    expect((await config('diff', '1', '2')).out).toContain(shown);
    expect((await config('diff', '-f', file(FIRST))).out).toBe(
      '~ upstream/files\n-   http.url: http://127.0.0.1:9/other\n+   http.url: http://127.0.0.1:9/mcp\n',
    );
  });

  test('diff is coloured as git has it, where colours are wanted', async () => {
    const onTerminal = (...argv: string[]) =>
      as(TOKENS.admin, ['config', 'diff', ...argv], { isTerminal: true });
    expect((await onTerminal()).out).toContain(
      '\u001b[32m+   name: ada\u001b[39m\n\u001b[1m~ upstream/files',
    );
    expect((await onTerminal('--no-color')).out).not.toContain('\u001b');
  });

  test('history says who changed what, and why', async () => {
    expect((await config('history')).out).toMatch(
      /^REVISION +AGE +AUTHOR +CHANGES +OF +MESSAGE\n +2 +\d+d +token\/ada +\+1 ~1 +consumer\/ada, upstream\/files +second\n +1 /,
    );
    expect((await config('history', '-n', '1', '--name', 'maps')).out).toMatch(/\n +1 .* first\n$/);
    expect((await config('history', '2')).out).toMatch(
      /^revision 2 {2}token\/ada {2}2023-11-14T22:13:20.000Z\nsecond\n\n\+ consumer\/ada\n/,
    );
  });

  test('rollback brings a revision back', async () => {
    const { out } = await config('rollback', '1', '-m', 'too soon');
    expect(out).toBe('- consumer/ada\n~ upstream/files   http.url\nrevision 3 holds: 1 changed, 1 removed\n');
    expect((await config('history', '-n', '1')).out).toContain('back to 1: too soon');
    expect(await config('rollback', '99')).toMatchObject({ code: EXIT.refused, out: '' });
  });

  test.each(['json', 'yaml'])('a backup in %s is brought back, by file or stdin', async (format) => {
    const { out: backup } = await config('export', '-o', format);
    await config('rollback', '1');
    const path = file(backup, 'backup');
    expect((await config('import', path, '--dry-run')).out).toContain('+ consumer/ada');
    const imported = await as(TOKENS.admin, ['config', 'import', '-'], { input: backup });
    expect(imported.out).toContain('revision 4 holds: 1 created, 1 changed');
    expect(await config('import', file('{"no": 1}'))).toMatchObject({ code: EXIT.usage });
  });
});

describe('a command that cannot be done', () => {
  test.each<[string, string[], number, RegExp]>([
    ['one without a token', ['config', 'get'], EXIT.refused, /hint: show a token/],
    ['what is not there', ['config', 'get', 'upstream/none'], EXIT.refused, /there is no upstream none/],
    [
      'a kind that is none',
      ['config', 'get', 'upstrem'],
      EXIT.usage,
      /there is no kind upstrem; there are gateway/,
    ],
    ['a filter that is none', ['config', 'get', '--filter', 'x'], EXIT.usage, /filter/],
    ['a file that is no backup', ['config', 'import', '/nowhere'], EXIT.usage, /cannot be read/],
    [
      'a token file that is away',
      ['config', 'get', '--token-file', '/nowhere'],
      EXIT.usage,
      /\/nowhere cannot/,
    ],
    ['half a certificate', ['config', 'get', '--cert', '/dev/null'], EXIT.usage, /--cert and --key belong/],
    ['what is no address', ['config', 'get', '--server', 'cp'], EXIT.usage, /"cp" is not an address/],
    ['no file', ['config', 'apply'], EXIT.usage, /^$/],
  ])('%s', async (what, argv, exitCode, message) => {
    const token = what === 'one without a token' ? '' : TOKENS.admin;
    const typed = { environment: { SLUICE_ADMIN_TOKEN: token } };
    const server = argv.includes('--server') ? [] : ['--server', `127.0.0.1:${cluster.api.port}`];
    const { code, out, err } = await sluice([...argv, ...server], typed);
    expect([code, out]).toEqual([exitCode, '']);
    expect(err).toMatch(message);
  });

  test('nobody answers', async () => {
    const { code, err } = await sluice(['config', 'get', '--server', '127.0.0.1:1', '--timeout', '100ms']);
    expect(code).toBe(EXIT.unhealthy);
    expect(err).toBe(
      'sluice: no control plane answers at 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1\n' +
        '  hint: name the control plane with --server or SLUICE_ADMIN_SERVER\n',
    );
  });

  test('somebody takes the connection and answers nothing', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const { code, err } = await sluice(['config', 'get', '--server', address, '--timeout', '300ms']);
    silent.close();
    expect(code).toBe(EXIT.unhealthy);
    expect(err).toMatch(
      /^sluice: no (?:answer from|control plane answers at) 127\.0\.0\.1:\d+.*\n {2}hint: /,
    );
  });

  test('a role that does not suffice', async () => {
    const { code, err } = await as(TOKENS.viewer, ['config', 'apply', '-f', file(FIRST)]);
    expect(code).toBe(EXIT.refused);
    expect(err).toMatch(/^sluice: .*operator/);
  });
});

describe('over TLS', () => {
  const certificate = makeTestCertificate(['127.0.0.1']);

  test('the authority is named, or the control plane is not trusted', async () => {
    await cluster.close();
    cluster = await startAdminCluster({ listen: { port: 0, tls: certificate } });
    const [ca, key] = [file(certificate.cert, 'ca.pem'), file(certificate.key, 'key.pem')];
    expect(await config('get', '--ca', ca, '-o', 'name')).toEqual({ code: EXIT.ok, out: '', err: '' });
    expect(await config('get', '--ca', ca, '--cert', ca, '--key', key, '-o', 'name')).toMatchObject({
      code: EXIT.ok,
    });
    const address = `https://127.0.0.1:${cluster.api.port}`;
    const distrusted = await sluice(['config', 'get', '--server', address, '--timeout', '500ms']);
    expect(distrusted.code).toBe(EXIT.unhealthy);
    expect(distrusted.err).toMatch(/no control plane answers at 127\.0\.0\.1:\d+: .*certificate/);
    expect(await config('get', '--ca', key)).toMatchObject({ code: EXIT.unhealthy });
  });
});

describe('nodes', () => {
  beforeEach(async () => {
    await config('apply', '-f', file(FIRST));
    cluster.join('eu-1', 'eu');
    cluster.join('us-1', 'us');
    cluster.runs('eu-1');
    cluster.refuses('us-1', 1, 'no secret TOKEN');
  });
  const nodes = (...argv: string[]) => as(TOKENS.admin, ['nodes', ...argv]);

  test('are listed with what they run', async () => {
    const { out } = await nodes();
    expect(out).toMatch(/^NODE +REGION +REVISION +STATE +SESSIONS +REQUESTS +MEMORY +VERSION +HEARD\n/);
    expect(out).toMatch(/\neu-1 +eu +1 .*1\.0\.0 +\d+[smhd]\n/);
    expect(out).toMatch(/\nus-1 +us +0 of 1 .*refused: no secret TOKEN\n$/);
    expect((await nodes('list', '--region', 'us', '-o', 'name')).out).toBe('us-1\n');
    expect(JSON.parse((await nodes('-o', 'json')).out).nodes).toHaveLength(2);
  });

  test('are drained, once', async () => {
    expect(await nodes('drain', 'eu-1', '--reason', 'new kernel')).toMatchObject({
      code: EXIT.ok,
      out: 'eu-1 was told to drain\n',
    });
    expect(cluster.orders).toEqual(['eu-1: drain']);
    expect(await nodes('drain', 'mars')).toEqual({
      code: EXIT.refused,
      out: '',
      err: 'sluice: there is no node mars\n  hint: sluice nodes and sluice connections show which there are\n',
    });
  });

  test('have events', async () => {
    const { out } = await nodes('events', 'us-1');
    expect(out).toMatch(/^AGE +NODE +EVENT +REVISION\n/);
    expect(out).toMatch(/us-1 +refused +1 +no secret TOKEN\n/);
    expect(out).toMatch(/us-1 +joined/);
    expect(out).not.toContain('eu-1');
  });
});

describe('connections', () => {
  const connections = (...argv: string[]) => as(TOKENS.admin, ['connections', ...argv]);
  beforeEach(() => {
    cluster.join('eu-1', 'eu', true);
    cluster.join('us-1', 'us', true);
  });

  test('of all nodes, or of one, are listed', async () => {
    expect(await connections('-o', 'name')).toEqual({
      code: EXIT.ok,
      out: ['eu-1/c0', 'eu-1/c1', 'eu-1/c2', 'us-1/c0', 'us-1/c1', 'us-1/c2', ''].join('\n'),
      err: '',
    });
    expect((await connections('-n', '4', '-o', 'name')).out).toBe('eu-1/c0\neu-1/c1\neu-1/c2\nus-1/c0\n');
    expect((await connections('list', 'us-1', '-n', '1')).out).toMatch(
      /^NODE +CONNECTION +ENDPOINT +TRANSPORT +CALLER +CLIENT +REVISION +CALLS +USED\nus-1 +c0 +\/mcp +ann +0\n$/,
    );
    expect(JSON.parse((await connections('list', 'us-1', '-o', 'json')).out).connections).toHaveLength(3);
    expect(await connections('list', 'mars')).toMatchObject({ code: EXIT.refused, out: '' });
  });

  test('of a node that does not answer hide nothing of the others', async () => {
    cluster.join('deaf', 'eu');
    const { code, out, err } = await connections('-o', 'name');
    expect([code, out.match(/c\d/g)]).toEqual([EXIT.unhealthy, ['c0', 'c1', 'c2', 'c0', 'c1', 'c2']]);
    expect(err).toMatch(/^sluice: node deaf has no connection to a control plane; .*\n$/);
    expect(await connections('list', 'deaf')).toMatchObject({ out: '' });
  });

  test('are ended', async () => {
    expect(await connections('close', 'eu-1', 'c1')).toMatchObject({
      code: EXIT.ok,
      out: 'eu-1 was told to end c1\n',
    });
    expect(cluster.orders).toEqual(['eu-1: listConnections', 'eu-1: endSession']);
    const { code, out, err } = await connections('close', 'eu-1', 'nope');
    expect([code, out]).toEqual([EXIT.refused, '']);
    expect(err).toContain('sluice: node eu-1 has no connection nope\n');
    expect(err).toContain('hint: sluice nodes and sluice connections show which there are');
  });
});
