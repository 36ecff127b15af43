/* "I paste the examples of the documentation, one after the other, and they answer what stands below them." */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { missing } from '../../../cli/test/servers/server-process.js';
import { startAdminCluster, TOKENS } from '../../test/admin-cluster.js';
import { REASONS } from './reasons.js';

const PAGE = readFileSync(new URL('../../../docs/operating/admin-api.md', import.meta.url), 'utf8');
const EXAMPLES = [...PAGE.matchAll(/```sh\n(.*?)```\n\n```json\n(.*?)```/gs)].map(
  ([, command = '', answer = '']) => ({
    command,
    answer: JSON.parse(answer) as object,
  }),
);

describeUnless(missing('curl', 'curl'), 'docs/operating/admin-api.md', () => {
  it('has examples that do what it says', async () => {
    expect(EXAMPLES.length).toBe(PAGE.match(/```sh/g)?.length);
    const cluster = await startAdminCluster();
    const folder = mkdtempSync(join(tmpdir(), 'sluice-admin-docs-'));
    try {
      for (const { command, answer } of EXAMPLES) {
        const { stdout } = await promisify(execFile)('sh', ['-c', `set -e\n${command}`], {
          cwd: folder,
          env: { ...process.env, SLUICE_URL: cluster.url, SLUICE_TOKEN: TOKENS.admin },
        });
        expect(JSON.parse(stdout), command).toMatchObject(answer);
      }
    } finally {
      rmSync(folder, { recursive: true });
      await cluster.close();
    }
  });
});

it('docs/operating/admin-api.md names every reason with its status', () => {
  for (const [reason, { httpStatus }] of Object.entries(REASONS))
    if (reason !== 'CANCELLED')
      expect(PAGE).toMatch(new RegExp(`^\\|.*\`${reason}\`.*\\| ${httpStatus} \\|`, 'm'));
});
