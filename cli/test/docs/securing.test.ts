import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { describeUnless } from '../servers/describe-unless.js';
import { missing } from '../servers/server-process.js';
import { blocksOf, ROOT } from './pages.js';

/* "I follow the page on securing, step by step, and see what it shows." */

const PAGE = 'docs/operating/securing.md';
const ADDRESS = 'http://localhost:8080';
/** The keys on the page were made under it. */
const SECRET = 'the secret of the examples in the documentation';

const blocks = blocksOf(PAGE);
const setUp = blocks.find(({ text }) => text.startsWith('call() {'))?.text ?? '';
const steps = blocks.flatMap((block, index) => {
  const shown = blocks[index + 1];
  const isStep = block.language === 'sh' && /^(?:for .*; do )?call /.test(block.text);
  return isStep && shown !== undefined ? [{ line: block.line, command: block.text, shown: shown.text }] : [];
});

let gateway: RunningGateway;
beforeAll(async () => {
  gateway = await startGateway({
    config: readFileSync(join(ROOT, 'docs/examples/securing.yaml'), 'utf8'),
    env: { SLUICE_KEY_SECRET: SECRET },
  });
  await vi.waitFor(async () => expect((await fetch(`${gateway.url}/ready`)).status).toBe(200), 20_000);
});
afterAll(() => gateway?.stop());

/** Times depend on how fast the steps follow each other. */
function timeless(text: string): string {
  return text
    .replaceAll('\r', '')
    .replaceAll(/(Retry-After: |in |"retry_after_ms":|;t=)\d+/g, '$1N')
    .replaceAll(/^ +(?=\d+$)/gm, '');
}

describeUnless(missing('bash', 'bash') ?? missing('curl', 'curl'), 'the page on securing', () => {
  it('has steps', () => expect(steps.length).toBeGreaterThan(5));

  it.each(steps)('$line shows what it prints', async ({ command, shown }) => {
    const script = `${setUp}\n${command}`.replaceAll(ADDRESS, gateway.url);
    const { stdout } = await promisify(execFile)('bash', ['-c', script]);
    expect(timeless(stdout)).toBe(timeless(shown));
  });
});
