import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PrincipalShare } from './principal-share.js';

const share = (principalsPercent: number, rollout = 'r1') =>
  new PrincipalShare({ rollout, principalsPercent });

describe('a share of the callers', () => {
  it('is as large as it says, and another one for each rollout', () => {
    const ids = Array.from({ length: 20_000 }, (_, index) => `auth-api-key:caller-${index}`);
    const taken = (of: PrincipalShare) => ids.filter((id) => of.takes({ id }));
    for (const percent of [1, 5, 30, 50, 99]) {
      const count = taken(share(percent)).length;
      // Four standard deviations; the hash decides, so that it is the same number each time.
      const deviation = Math.sqrt(ids.length * (percent / 100) * (1 - percent / 100));
      expect(Math.abs(count - ids.length * (percent / 100))).toBeLessThan(4 * deviation);
    }
    expect(taken(share(100))).toEqual(ids);
    const both = new Set(taken(share(10, 'r2')));
    expect(taken(share(10, 'r1')).filter((id) => both.has(id)).length).toBeLessThan(ids.length / 50);
  });

  it('keeps whom it has when it grows, and tells tenants apart', () => {
    const percent = fc.integer({ min: 1, max: 100 });
    fc.assert(
      fc.property(fc.string(), fc.string(), percent, percent, fc.string(), (id, tenant, a, b, rollout) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)];
        if (share(less, rollout).takes({ id, tenant }))
          expect(share(more, rollout).takes({ id, tenant })).toBe(true);
      }),
    );
    const taken = (tenant: string) =>
      Array.from({ length: 100 }, (_, index) => share(50).takes({ id: `caller-${index}`, tenant }));
    expect(taken('acme')).not.toEqual(taken('globex'));
  });

  it('has nobody who does not say who it is', () => {
    expect(share(100).takes({ id: 'anonymous' })).toBe(false);
  });
});
