/** Addresses as limits count them. */

/**
 * An IPv4 address as it is, of an IPv6 address its first 64 bits: those are what one customer is given (RFC 6177), who
 * could else take another address for each request.
 */
export function addressKey(address: string): string {
  if (!address.includes(':')) return address;
  // An IPv4 client on a listener for both (RFC 4291, section 2.5.5.2).
  const dotted = address.lastIndexOf(':') + 1;
  if (address.includes('.')) return address.slice(dotted);
  const [written = ''] = address.toLowerCase().split('%', 1);
  const gap = written.indexOf('::');
  const before = groupsOf(gap === -1 ? written : written.slice(0, gap));
  const after = gap === -1 ? [] : groupsOf(written.slice(gap + 2));
  const zeros = Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after].map(withoutZeros);
  if (groups.slice(0, 5).every((group) => group === '0') && groups[5] === 'ffff')
    return [...bytesOf(groups[6]), ...bytesOf(groups[7])].join('.');
  return `${groups.slice(0, 4).join(':')}::/64`;
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':');
}

function withoutZeros(group: string): string {
  return group.replace(/^0+(?=.)/, '');
}

function bytesOf(group = '0'): [number, number] {
  const value = Number.parseInt(group, 16);
  return [value >> 8, value & 0xff];
}
