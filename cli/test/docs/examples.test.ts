import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfigurationFile } from '@sluice/control-plane';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../cli/sluice-process.js';
import { allBlocks, blocksOf, ROOT } from './pages.js';

/* "I copy a configuration from the documentation, and it is valid." */

const FILES = readdirSync(join(ROOT, 'docs', 'examples'));
/** Test cases of policies stand beside them. */
const CASES = FILES.filter((name) => name.endsWith('.test.yaml'));
const EXAMPLES = FILES.filter((name) => !CASES.includes(name));
/** What a client reads: to a gateway at the default address they name itself. */
const FOR_CLIENTS = ['client.json', 'inspector.json'];
const CONFIGURATIONS = ['yaml', 'toml'];
/** Variables that examples ask for. */
const ENVIRONMENT: Readonly<Record<string, Record<string, string>>> = {
  'admin.yaml': { SLUICE_ADMIN_TOKEN: 'a'.repeat(32) },
  'api-keys.yaml': { SLUICE_KEY_SECRET: 'a'.repeat(32) },
  'consumers.yaml': { SLUICE_KEY_SECRET: 'a'.repeat(32) },
  'policy-agents.yaml': { SLUICE_KEY_SECRET: 'a'.repeat(32), SLUICE_AGENT_SECRET: 'b'.repeat(32) },
  'securing.yaml': { SLUICE_KEY_SECRET: 'a'.repeat(32) },
  'jwt-keys.yaml': { PORTAL_JWT_SECRET: 'a'.repeat(32) },
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-docs-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('example configurations', () => {
  it.each(EXAMPLES)('sluice validate takes %s', async (name) => {
    const { code, stdout, stderr } = await run(
      ['validate', join(ROOT, 'docs', 'examples', name)],
      ENVIRONMENT[name],
    );
    if (FOR_CLIENTS.includes(name))
      expect(stderr).toMatch(/^.*: warning: .* the address of this gateway.*\n {2}hint: .*\n$/);
    else expect(stderr).toBe('');
    expect(stdout).toContain('is valid');
    expect(code).toBe(0);
  });

  it.each(CASES)('pass the cases of %s', async (name) => {
    const { code, stdout } = await run(['policy', 'test', join(ROOT, 'docs', 'examples', name)]);
    expect([stdout.match(/^ *✗.*$/gm), code]).toEqual([null, 0]);
  });

  it('are all shown on a page', () => {
    const shown = new Set(allBlocks().map(({ file }) => file));
    expect(FILES.filter((name) => !shown.has(`docs/examples/${name}`))).toEqual([]);
  });
});

describe('blocks on pages', () => {
  const blocks = allBlocks();

  it.each(blocks.filter(({ file }) => file !== undefined))(
    '$page:$line shows $file as it is',
    ({ file, text }) => {
      expect(text).toBe(readFileSync(join(ROOT, file as string), 'utf8'));
    },
  );

  it.each(blocks.filter(({ file, language }) => file === undefined && CONFIGURATIONS.includes(language)))(
    '$page:$line is a valid configuration',
    async ({ language, text }) => {
      const file = join(folder, `sluice.${language}`);
      writeFileSync(file, text);
      const { problems } = await loadConfigurationFile(file, { environment: {} });
      expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    },
  );

  it.each(blocks.filter(({ language }) => language === 'json'))('$page:$line is JSON', ({ text }) => {
    expect(JSON.parse(text)).toBeTypeOf('object');
  });
});

it('the README shows what sluice validate says', async () => {
  const shown = blocksOf('README.md').find(({ text }) => text.includes('is invalid'))?.text;
  writeFileSync(
    join(folder, 'sluice.yaml'),
    [
      'gateway:',
      '  listen:',
      '    prot: 9000',
      'upstreams:',
      '  time:',
      '    url: http://127.0.0.1:3001/mcp',
      '    timeout: 10 minutes',
    ].join('\n'),
  );
  const { code, stderr } = await run(['validate', 'sluice.yaml'], {}, folder);
  expect(stderr).toBe(shown);
  expect(code).toBe(3);
});
