import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ClusterMetrics } from '../../../data-plane/src/cluster/cluster-metrics.js';
import { startGateway } from '../gateway.js';
import { ROOT, readPage } from './pages.js';

/* "I look up a code or a metric, and it is there." */

function firstColumn(page: string, cell: RegExp): string[] {
  return [...readPage(page).matchAll(cell)].map(([, text]) => text as string);
}

it('the page of error codes has every code, with the meaning that the source gives', () => {
  const source = readFileSync(join(ROOT, 'data-plane/src/protocol/errors.ts'), 'utf8');
  const codes = [...source.matchAll(/\/\*\* (.+?) \*\/\s+(\w+): (-\d+),/g)];
  const rows = codes.map(([, meaning, name, code]) => `| ${code} | ${name} | ${meaning} |`);
  const shown = firstColumn('docs/reference/errors.md', /^(\| -\d+ \| [A-Z]\w+ \| .+)$/gm);
  expect(shown).toEqual(rows);
  expect(rows.length).toBeGreaterThan(10);
});

it('the page of error codes has every kind of refusal of plugins, with the meaning that the source gives', () => {
  const source = readFileSync(join(ROOT, 'sdk/src/refusal.ts'), 'utf8');
  const kinds = [...source.matchAll(/\/\*\* (.+?) \*\/\s+(\w+): \{ code: (-\d+), status: (\d+) \}/g)];
  const rows = kinds.map(
    ([, meaning, kind, code, status]) => `| ${code} | ${kind} | ${status} | ${meaning} |`,
  );
  const shown = firstColumn('docs/reference/errors.md', /^(\| -\d+ \| \w+ \| \d+ \| .+)$/gm);
  expect(shown).toEqual(rows);
  expect(rows.length).toBeGreaterThan(4);
});

it('the page of metrics has every metric of a cluster, with its kind', async () => {
  const served = [...(await new ClusterMetrics().text()).matchAll(/^# TYPE (sluice_\w+) (\w+)$/gm)].map(
    ([, name, kind]) => `${name} ${kind}`,
  );
  const shown = [...readPage('docs/reference/metrics.md').matchAll(/^\| (\w+) \| `(sluice_\w+)` \|/gm)].map(
    ([, kind, name]) => `${name} ${kind}`,
  );
  expect(shown.sort()).toEqual(served.sort());
});

it('the page of metrics has every metric of the gateway, with its kind', async () => {
  const gateway = await startGateway({ config: { upstreams: [] } });
  try {
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    const served = [...text.matchAll(/^# TYPE (sluice_\w+) (\w+)$/gm)]
      .map(([, name, kind]) => `${name} ${kind}`)
      .filter((metric) => !/^sluice_(process|nodejs)_/.test(metric));
    const shown = [...readPage('docs/reference/metrics.md').matchAll(/^\| `(sluice_\w+)` \| (\w+) \|/gm)].map(
      ([, name, kind]) => `${name} ${kind}`,
    );
    expect(shown.sort()).toEqual(served.sort());
  } finally {
    await gateway.stop();
  }
});
