import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { BUF, PACKAGE_FOLDER } from './schema-comments.js';

it('is what buf lint takes', () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [BUF, 'lint'], {
    cwd: PACKAGE_FOLDER,
    encoding: 'utf8',
  });
  expect(stdout + stderr).toBe('');
  expect(status).toBe(0);
});
