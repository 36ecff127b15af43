import { beforeEach, describe, expect, it } from 'vitest';
import { Holding, ParkedAccount } from './parked-account.js';
import { UNLIMITED } from './scripted-parking.js';

/* A quarter of the calls, and so of the bytes, may be one principal's. */

const LIMITS = {
  ...UNLIMITED,
  maxParkedBytes: 1_000,
  maxParkedCallCount: 100,
  maxParkedCallPerPrincipalCount: 25,
};
let account: ParkedAccount;
beforeEach(() => {
  account = new ParkedAccount(LIMITS);
});

describe('bytes that are held back', () => {
  it('are limited for each principal, and in all', () => {
    const ada = new Holding(account, 'ada');
    expect(ada.take(200)).toBe(true);
    expect(new Holding(account, 'ada').take(51)).toBe(false);
    for (const other of ['ben', 'cleo', 'dora']) expect(new Holding(account, other).take(250)).toBe(true);
    expect(ada.take(50)).toBe(true);
    expect(new Holding(account, 'eve').take(1)).toBe(false);
    expect(account.bytesError().message).toContain('all may hold 1000');
    expect(account.bytesError().message).toContain('one principal 250 of these');
  });

  it('are counted back', () => {
    const ada = new Holding(account, 'ada');
    ada.take(250);
    ada.give(100);
    expect(new Holding(account, 'ada').take(100)).toBe(true);
    ada.giveAll();
    expect(account.heldBytes).toBe(100);
    expect(new Holding(account, 'ada').take(150)).toBe(true);
  });

  it('of calls that are only remembered make room for those of the same principal, and for nobody else', () => {
    const forgotten: string[] = [];
    for (const principal of ['ada', 'ben']) {
      const holding = new Holding(account, principal);
      holding.take(200);
      const forget = () => {
        forgotten.push(principal);
        holding.giveAll();
      };
      account.remember({ principal, forget });
    }
    expect(new Holding(account, 'ben').take(100)).toBe(true);
    expect(forgotten).toEqual(['ben']);
  });

  it('are all one principal may have where it may have all calls', () => {
    account.apply({ ...LIMITS, maxParkedCallPerPrincipalCount: 500 });
    expect(new Holding(account, 'ada').take(1_000)).toBe(true);
  });
});
