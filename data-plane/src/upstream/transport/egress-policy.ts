import { BlockList, isIP } from 'node:net';

/** Refused where the configuration says nothing: link-local, where clouds serve machine credentials. */
export const DEFAULT_DENIED_RANGES: readonly string[] = ['169.254.0.0/16', 'fe80::/10'];

const IPV4_BITS = 32;
const IPV6_BITS = 128;
/** Leading bits of `::ffff:a.b.c.d`; what follows is the IPv4 address. */
const MAPPED_PREFIX_BITS = 96;

/**
 * Which addresses the gateway may connect to. It judges addresses and never names, so that a name cannot
 * say one thing when it is checked and another when it is used.
 *
 * @throws RangeError for a range that is not an IPv4 or IPv6 address with an optional prefix length.
 */
export class EgressPolicy {
  private readonly denied: AddressRanges;
  private readonly allowed: AddressRanges;

  /** `deny` and `allow` are CIDR ranges or single addresses; an address that both hold is allowed. */
  constructor(deny: readonly string[], allow: readonly string[]) {
    this.denied = new AddressRanges(deny);
    this.allowed = new AddressRanges(allow);
  }

  /** Whether a connection to this IP address (not a name) is permitted. */
  permits(address: string): boolean {
    return reachedAddresses(address).every((each) => !this.denied.has(each) || this.allowed.has(each));
  }
}

/** IPv4 and IPv6 are kept apart: one BlockList for both counts every IPv4 address as part of `::/0`. */
class AddressRanges {
  private readonly ipv4 = new BlockList();
  private readonly ipv6 = new BlockList();

  constructor(ranges: readonly string[]) {
    for (const range of ranges) this.add(range);
  }

  has(address: string): boolean {
    return isIP(address) === 4 ? this.ipv4.check(address, 'ipv4') : this.ipv6.check(address, 'ipv6');
  }

  private add(range: string): void {
    const [, address = '', prefixText] = /^([^/%]*)(?:\/(\d{1,3}))?$/.exec(range.trim()) ?? [];
    const family = isIP(address);
    const widthBits = family === 4 ? IPV4_BITS : IPV6_BITS;
    const prefixBits = prefixText === undefined ? widthBits : Number(prefixText);
    if (family === 0 || prefixBits > widthBits) {
      throw new RangeError(
        `"${range}" is not an address range; write it like 10.0.0.0/8, fd00::/8 or 192.0.2.7`,
      );
    }
    const mapped =
      family === 6 && prefixBits >= MAPPED_PREFIX_BITS ? mappedIpv4(ipv6Groups(address)) : undefined;
    if (mapped !== undefined) this.ipv4.addSubnet(mapped, prefixBits - MAPPED_PREFIX_BITS, 'ipv4');
    else if (family === 4) this.ipv4.addSubnet(address, prefixBits, 'ipv4');
    else this.ipv6.addSubnet(address, prefixBits, 'ipv6');
  }
}

/**
 * Every address that a connection to this one reaches or may reach. The unspecified address connects to this
 * machine, and several IPv6 forms carry an IPv4 address that the kernel or a translator on the path connects to.
 */
function reachedAddresses(address: string): string[] {
  if (isIP(address) === 4) return address === '0.0.0.0' ? [address, '127.0.0.1'] : [address];
  const plain = address.replace(/%.*$/, '');
  const groups = ipv6Groups(plain);
  const mapped = mappedIpv4(groups);
  if (mapped !== undefined) return reachedAddresses(mapped);
  if (groups.every((group) => group === 0)) return [plain, '::1', '127.0.0.1'];
  const carried = carriedIpv4(groups);
  return carried === undefined ? [plain] : [plain, carried];
}

/** `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2): the kernel itself connects over IPv4. */
function mappedIpv4(groups: readonly number[]): string | undefined {
  return startsWith(groups, [0, 0, 0, 0, 0, 0xffff]) ? ipv4Of(groups, 6) : undefined;
}

/** The IPv4 address inside a form that a translator or tunnel may connect to. */
function carriedIpv4(groups: readonly number[]): string | undefined {
  // IPv4-compatible (RFC 4291, 2.5.5.1); `::1` is the loopback address and carries nothing.
  if (startsWith(groups, [0, 0, 0, 0, 0, 0]) && groups[6] !== 0) return ipv4Of(groups, 6);
  // IPv4-translated (RFC 2765, 2.1).
  if (startsWith(groups, [0, 0, 0, 0, 0xffff, 0])) return ipv4Of(groups, 6);
  // NAT64, the well-known prefix (RFC 6052, 2.1) and the one for local use (RFC 8215).
  if (startsWith(groups, [0x64, 0xff9b, 0, 0, 0, 0])) return ipv4Of(groups, 6);
  if (startsWith(groups, [0x64, 0xff9b, 1])) return ipv4Of(groups, 6);
  // 6to4 (RFC 3056, 2).
  if (startsWith(groups, [0x2002])) return ipv4Of(groups, 1);
  return undefined;
}

function startsWith(groups: readonly number[], prefix: readonly number[]): boolean {
  return prefix.every((group, index) => groups[index] === group);
}

function ipv4Of(groups: readonly number[], index: number): string {
  const high = groups[index] ?? 0;
  const low = groups[index + 1] ?? 0;
  return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`;
}

/** The eight 16-bit groups of an address that `net.isIP` has called IPv6. */
function ipv6Groups(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  let text = address;
  if (dotted !== null) {
    const [, head, a, b, c, d] = dotted;
    text = `${head}${((Number(a) << 8) | Number(b)).toString(16)}:${((Number(c) << 8) | Number(d)).toString(16)}`;
  }
  const [left = '', right] = text.split('::');
  const before = hexGroups(left);
  if (right === undefined) return before;
  const after = hexGroups(right);
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function hexGroups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}
