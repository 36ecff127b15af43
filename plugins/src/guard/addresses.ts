/**
 * Hosts in a text, and addresses however they are spelled. What a host is, the parser of URLs says (WHATWG URL,
 * section 3.5): it reads decimal, hexadecimal, octal and short forms as those do who call it afterwards.
 */
import { BlockList, isIPv6 } from 'node:net';
import type { Text } from './rules/rule.js';

/** An IPv4 address inside of an IPv6 one is one of both. */
export interface Address {
  readonly text: string;
  readonly family: 'ipv4' | 'ipv6';
}

/** So many hosts of one text are looked at; more make it an attack by itself, which other limits end. */
const MAX_HOST_COUNT = 1_000;
const MAX_HOST_LENGTH = 512;
/** What the parser of URLs leaves out wherever it stands in one. */
const LEFT_OUT = /[\t\r\n]/g;
const IN_ADDRESS =
  /\b(?:[a-z][a-z0-9+.-]{0,20}:[\\/]{1,4}|(?:https?|wss?|ftp):)([^\s"'<>\\/?#]{1,512})|(?:^|[\s"'=(,])[\\/]{2}([^\s"'<>\\/?#]{1,512})/gi;
const DOTTED = /(?<![\w.])(?:0x[0-9a-f]{1,8}|\d{1,11})(?:[.。．｡](?:0x[0-9a-f]{1,8}|\d{1,11})){3}(?!\.?\w)/gi;
const BRACKETED = /\[([0-9a-f:.]{2,45})(?:%[\w.-]{1,20})?\]/gi;
const BARE_IPV6 = /(?<![\w:.])[0-9a-f]{0,4}:[0-9a-f:.]{1,45}(?![\w:])/gi;
/** Members that hold a host and no address of the web. */
export const HOST_MEMBER =
  /^(?:host|hostname|host_name|ip|ip_address|address|addr|server|domain|target|remote|url|uri|endpoint|proxy)$/i;

const own = (...ranges: (readonly [address: string, prefix: number])[]) => {
  const list = new BlockList();
  for (const [address, prefix] of ranges) list.addSubnet(address, prefix, isIPv6(address) ? 'ipv6' : 'ipv4');
  return ({ text, family }: Address) => list.check(text, family);
};

/** Ranges by what they are for (IANA, special-purpose address registries), and where clouds answer. */
export const KINDS = {
  isMetadata: own(
    ...([
      ['169.254.169.254', 32],
      ['169.254.170.2', 32],
      ['169.254.170.23', 32],
    ] as const),
    ...([
      ['100.100.100.200', 32],
      ['168.63.129.16', 32],
      ['192.0.0.192', 32],
    ] as const),
    ...([
      ['fd00:ec2::254', 128],
      ['fd00:ec2::23', 128],
      ['fd20:ce::254', 128],
    ] as const),
  ),
  isPrivate: own(
    ...([
      ['10.0.0.0', 8],
      ['172.16.0.0', 12],
      ['192.168.0.0', 16],
      ['100.64.0.0', 10],
    ] as const),
    ...([
      ['198.18.0.0', 15],
      ['fc00::', 7],
      ['fec0::', 10],
    ] as const),
  ),
  isLoopback: own(['127.0.0.0', 8], ['0.0.0.0', 8], ['::1', 128], ['::', 128]),
  isLinkLocal: own(
    ['169.254.0.0', 16],
    ['224.0.0.0', 4],
    ['255.255.255.255', 32],
    ['fe80::', 10],
    ['ff00::', 8],
  ),
} as const;

/** The text looked at last: each rule of a set asks about the same one. */
let last: { readonly text: string; readonly member: string; readonly hosts: readonly string[] } | undefined;

/** Names and addresses of all hosts in a text, as the parser of URLs writes them. */
export function hostsIn({ text, member }: Text): readonly string[] {
  if (last?.text === text && last.member === member) return last.hosts;
  const hosts = new Set<string>();
  const add = (written: string | undefined) => {
    const host = written === undefined || hosts.size >= MAX_HOST_COUNT ? undefined : hostOf(written);
    if (host !== undefined) hosts.add(host);
  };
  if (/[.:。．｡]|\/\//.test(text)) {
    if (text.search(LEFT_OUT) !== -1)
      for (const match of text.replace(LEFT_OUT, '').matchAll(IN_ADDRESS)) add(match[1] ?? match[2]);
    for (const match of text.matchAll(IN_ADDRESS)) add(match[1] ?? match[2]);
    for (const match of text.matchAll(DOTTED)) add(match[0]);
    for (const match of text.matchAll(BRACKETED)) add(`[${match[1]}]`);
    for (const match of text.matchAll(BARE_IPV6)) if (isIPv6(match[0])) add(`[${match[0]}]`);
  }
  if (HOST_MEMBER.test(member) && text.length <= MAX_HOST_LENGTH && !/[\s/]/.test(text))
    add(isIPv6(text) ? `[${text}]` : text);
  last = { text, member, hosts: [...hosts] };
  return last.hosts;
}

/** Addresses among the hosts; one inside of another is there beside it. */
export function addressesIn(text: Text): readonly Address[] {
  return hostsIn(text).flatMap((host) => {
    if (!host.startsWith('['))
      return /^\d+\.\d+\.\d+\.\d+$/.test(host) ? [{ text: host, family: 'ipv4' as const }] : [];
    const address = host.slice(1, -1);
    const inner = insideOf(address);
    const outer = { text: address, family: 'ipv6' as const };
    return inner === undefined ? [outer] : [outer, { text: inner, family: 'ipv4' as const }];
  });
}

function hostOf(written: string): string | undefined {
  const host = written.slice(written.lastIndexOf('@') + 1);
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    // With what stands behind it in a sentence.
    try {
      return new URL(`http://${host.replace(/[^\w.\-[\]:。．｡\u00a1-\uffff].*$/s, '').replace(/[.:]+$/, '')}`)
        .hostname;
    } catch {
      return undefined;
    }
  }
}

/** The IPv4 address that an IPv6 one stands for: mapped, compatible, of NAT64 (RFC 6052) or 6to4 (RFC 3056). */
function insideOf(address: string): string | undefined {
  const groups = groupsOf(address);
  const dotted = (high: number, low: number) => `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  if (a === 0x2002) return dotted(b, c);
  const isEmpty = c === 0 && d === 0 && e === 0;
  if (a === 0x64 && b === 0xff9b && isEmpty && f === 0) return dotted(g, h);
  if (a === 0 && b === 0 && c === 0 && d === 0 && (f === 0xffff || f === 0) && (e === 0 || e === 0xffff))
    return g === 0 && h < 2 ? undefined : dotted(g, h);
  return undefined;
}

function groupsOf(address: string): readonly number[] {
  const [before = '', behind] = address.split('::');
  const numbers = (text: string) =>
    text === '' ? [] : text.split(':').map((each) => Number.parseInt(each, 16));
  const first = numbers(before);
  if (behind === undefined) return first;
  const rest = numbers(behind);
  return [...first, ...Array<number>(Math.max(0, 8 - first.length - rest.length)).fill(0), ...rest];
}
