import { BlockList, isIP, isIPv4 } from 'node:net';

/** Addresses that only this machine can reach (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3). */
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether listening on this host keeps other machines out. `localhost` is loopback by RFC 6761 section 6.3. */
export function isLoopbackHost(host: string): boolean {
  if (host.toLowerCase() === 'localhost') return true;
  return isInRanges(LOOPBACK, host);
}

const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;
const MAX_HOST_NAME_LENGTH = 253;

/** Whether a text is an IP address without brackets, or a host name (RFC 1123 section 2.1; `_` is common). */
export function isHost(text: string): boolean {
  if (isIP(text) !== 0) return true;
  if (text.length > MAX_HOST_NAME_LENGTH || /^[\d.]+$/.test(text)) return false;
  return text.split('.').every((label) => LABEL.test(label));
}

/** A list that holds the ranges which are valid; the others are the caller's to report. */
export function rangesOf(cidrs: readonly string[]): BlockList {
  const ranges = new BlockList();
  for (const cidr of cidrs) {
    const range = parseCidr(cidr);
    if (range) ranges.addSubnet(range.address, range.prefixBits, familyOf(range.address));
  }
  return ranges;
}

/** Whether a literal address lies in one of the ranges. */
export function isInRanges(ranges: BlockList, address: string): boolean {
  if (isIP(address) === 0) return false;
  // The zone names an interface of this machine (RFC 4007 section 11), and is no part of the address.
  return ranges.check(address.replace(/%.*$/, ''), familyOf(address));
}

/** Whether a text is a range in CIDR form, for example `10.0.0.0/8` (RFC 4632 section 3.1). */
export function isCidr(text: string): boolean {
  return parseCidr(text) !== undefined;
}

const IPV4_BITS = 32;
const IPV6_BITS = 128;

function parseCidr(text: string): { address: string; prefixBits: number } | undefined {
  const [, address, prefix] = /^([^/%]+)\/(\d{1,3})$/.exec(text) ?? [];
  if (address === undefined || isIP(address) === 0) return undefined;
  const prefixBits = Number(prefix);
  return prefixBits <= (isIPv4(address) ? IPV4_BITS : IPV6_BITS) ? { address, prefixBits } : undefined;
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}
