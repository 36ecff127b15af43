import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeUnless } from '../test/servers/describe-unless.js';
import { missing } from '../test/servers/server-process.js';
import { type CommandActions, createCommandLine } from './command-line.js';
import { completionScript } from './completion.js';
import { SHELLS, type Shell } from './completion-command-line.js';

const program = createCommandLine({} as CommandActions, () => {});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-completion-'));
  // In the place of the command, for names.
  const script =
    "#!/bin/sh\ncase $1 in config) printf 'upstream/files\\nupstream/maps\\nplugin/$(touch hurt)\\nplugin/`touch hurt`\\n' ;; *) echo eu-1 ;; esac\n";
  writeFileSync(join(folder, 'sluice'), script);
  chmodSync(join(folder, 'sluice'), 0o755);
  for (const shell of SHELLS) writeFileSync(join(folder, shell), completionScript(program, shell));
});
afterAll(() => rmSync(folder, { recursive: true }));

function inShell(shell: Shell, script: string): string[] {
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` };
  const out = execFileSync(shell, ['-c', script], { env, encoding: 'utf8', cwd: folder });
  return out.split('\n').filter((line) => line !== '');
}

describeUnless(missing('bash', 'bash'), 'bash completes', () => {
  const complete = (typed: string) =>
    inShell(
      'bash',
      `compopt() { :; }; source ./bash; COMP_WORDS=(sluice ${typed}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _sluice; printf '%s\\n' "\${COMPREPLY[@]}"`,
    );

  test.each<[string, string[]]>([
    ['conf', ['config']],
    ['config ""', ['get', 'apply', 'delete', 'diff', 'history', 'rollback', 'wait', 'export', 'import']],
    ['config apply --pru', ['--prune', '--prune-tenant', '--prune-kind', '--prune-label']],
    ['config apply --prune-kind up', ['upstream']],
    ['config history --kind lim', ['limit']],
    ['config get -o ""', ['table', 'yaml', 'json', 'name']],
    ['config get --server cp:7070 ""', ['upstream/files', 'upstream/maps']],
    ['config get upstream/m', ['upstream/maps']],
    ['config delete upstream/files upstream/m', ['upstream/maps']],
    ['config apply -f fi', ['fish']],
    ['nodes drain ""', ['eu-1']],
    ['serve --listener u', ['uws']],
    ['completion z', ['zsh']],
    ['config wait --for ""', []],
  ])('%s', (typed, expected) => {
    expect(complete(typed)).toEqual(expected);
  });
});

test('no name from a cluster is run by a shell', () => {
  expect(existsSync(join(folder, 'hurt'))).toBe(false);
});

describeUnless(missing('zsh', 'zsh'), 'zsh', () => {
  test('takes the script', () => {
    expect(inShell('zsh', 'autoload -U compinit; compinit -u; source ./zsh; whence -w _sluice')).toEqual([
      '_sluice: function',
    ]);
  });
});

describeUnless(missing('fish', 'fish'), 'fish completes', () => {
  test.each<[string, string[]]>([
    ['config wa', ['wait']],
    ['config get -o j', ['json']],
    ['nodes drain e', ['eu-1']],
  ])('%s', (typed, expected) => {
    const lines = inShell('fish', `source ./fish; complete -C 'sluice ${typed}'`);
    expect(lines.map((line) => line.split('\t')[0])).toEqual(expected);
  });
});

test.each(SHELLS)('the script for %s knows every command and option', (shell) => {
  const script = completionScript(program, shell);
  for (const word of [
    'data-plane',
    'rollback',
    'hash-password',
    'idempotency-key',
    'tls-ca',
    'virtual-server',
  ])
    expect(script).toContain(word);
});
