import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-audit-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

const identity = { id: 'auth-api-key:bench', tenant: 'example' };

/** What the worker pays; the thread that writes has a processor of its own, or takes turns. */
export const bench: PluginBench = {
  plugin,
  cases: (['redacted', 'absent'] as const).map((kept) => ({
    name: `arguments ${kept}`,
    stage: 'call',
    config: { file: join(folder, `${kept}.sqlite`), arguments: kept },
    request: { identity, headers: { traceparent: `00-${'4b'.repeat(16)}-${'a1'.repeat(8)}-01` } },
    isAsExpected: ({ outcome }) => outcome?.errorCode === 0,
  })),
};
