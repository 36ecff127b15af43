import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_DENIED_RANGES, EgressPolicy } from './egress-policy.js';

const linkLocal = new EgressPolicy(DEFAULT_DENIED_RANGES, []);

describe('EgressPolicy', () => {
  it.each([
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '::FFFF:A9FE:A9FE',
    '0:0:0:0:0:ffff:169.254.169.254',
    '::169.254.169.254',
    '::ffff:0:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::169.254.169.254',
    '2002:a9fe:a9fe::1',
    'fe80::1',
    'febf:ffff::1',
    'fe80::1%eth0',
  ])('refuses the link-local address %s in whatever form', (address) => {
    expect(linkLocal.permits(address)).toBe(false);
  });

  it.each([
    '127.0.0.1',
    '169.253.255.255',
    '169.255.0.0',
    '10.0.0.1',
    '::1',
    'fec0::1',
    '2001:db8::1',
    '8.8.8.8',
  ])('permits %s by default', (address) => {
    expect(linkLocal.permits(address)).toBe(true);
  });

  it('lets an allowed range win over a denied one', () => {
    const policy = new EgressPolicy(['0.0.0.0/0', '::/0'], ['10.0.0.0/8', 'fd00::/8', '192.0.2.7']);
    expect(policy.permits('10.1.2.3')).toBe(true);
    expect(policy.permits('::ffff:10.1.2.3')).toBe(true);
    expect(policy.permits('192.0.2.7')).toBe(true);
    expect(policy.permits('fd12::1')).toBe(true);
    expect(policy.permits('192.0.2.8')).toBe(false);
    expect(policy.permits('2001:db8::1')).toBe(false);
    // The IPv6 address itself must be allowed too: whoever translates it may not be the host that is meant.
    expect(policy.permits('64:ff9b::10.1.2.3')).toBe(false);
  });

  it('keeps the families apart', () => {
    expect(new EgressPolicy(['0.0.0.0/0'], ['::/0']).permits('192.0.2.1')).toBe(false);
    expect(new EgressPolicy(['::/0'], []).permits('192.0.2.1')).toBe(true);
  });

  it('counts the unspecified address as this machine', () => {
    const policy = new EgressPolicy(['127.0.0.0/8'], []);
    expect(policy.permits('0.0.0.0')).toBe(false);
    expect(policy.permits('::')).toBe(false);
    expect(policy.permits('::ffff:0.0.0.0')).toBe(false);
    expect(new EgressPolicy(['::1/128'], []).permits('::')).toBe(false);
  });

  it('reads a range that is written in the IPv4-mapped form', () => {
    const policy = new EgressPolicy(['::ffff:10.0.0.0/104'], []);
    expect(policy.permits('10.9.9.9')).toBe(false);
    expect(policy.permits('11.0.0.0')).toBe(true);
  });

  it.each([
    '',
    'localhost',
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0/8',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'fe80::1%eth0/64',
  ])('says what is wrong with the range "%s"', (range) => {
    expect(() => new EgressPolicy([range], [])).toThrow(/is not an address range; write it like/);
  });

  it('judges an IPv4 address and its mapped form alike', () => {
    const policy = new EgressPolicy(['10.0.0.0/8', '128.0.0.0/2'], ['10.64.0.0/10']);
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(policy.permits(`::ffff:${address}`)).toBe(policy.permits(address));
      }),
    );
  });

  it('judges every way to write an IPv6 address alike', () => {
    const policy = new EgressPolicy(['8000::/1', '::ffff:128.0.0.0/97'], []);
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
        expect(policy.permits(address)).toBe(policy.permits(canonical));
        expect(policy.permits(address.toUpperCase())).toBe(policy.permits(canonical));
      }),
    );
  });
});
