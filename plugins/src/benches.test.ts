import { describe, expect, it } from 'vitest';
import { BENCHES, benchSubject } from './benches.js';
import { BUILT_IN } from './index.js';

it('every plugin that comes with Sluice is measured', () => {
  const measured = BENCHES.map(({ plugin }) => plugin.name);
  expect(measured.slice(1)).toEqual(BUILT_IN);
});

describe.each(BENCHES)('$plugin.name', ({ plugin, cases }) => {
  it.each(cases)('goes as its name says: $name', async (bench) => {
    const subject = benchSubject(plugin, bench);
    // The first fills what the others find.
    await subject.once();
    const seen = await subject.look();
    await subject.end();
    expect(seen).toSatisfy(bench.isAsExpected);
  });
});
