/** Hosts that a tool should not call for somebody outside. */
import { addressesIn, hostsIn, KINDS } from '../addresses.js';
import { type BuiltInRule, type RuleSet, rule } from './rule.js';

function addressRule(
  id: string,
  finds: string,
  kind: keyof typeof KINDS,
  examples: readonly string[],
  harmless: readonly string[],
): BuiltInRule {
  const isKind = KINDS[kind];
  return { id, finds, examples, harmless, isIn: (text) => addressesIn(text).some(isKind) };
}

const METADATA_NAMES =
  /^(?:metadata\.google\.internal|metadata\.goog|metadata|instance-data(?:\.ec2\.internal)?|metadata\.azure\.(?:com|internal)|metadata\.packet\.net|rancher-metadata)\.?$/i;
const LOCAL_NAMES =
  /^(?:localhost|(?:[\w-]{1,63}\.){1,8}localhost|localhost\.localdomain|ip6-localhost|ip6-loopback|host\.docker\.internal|gateway\.docker\.internal|kubernetes(?:\.default(?:\.svc(?:\.cluster\.local)?)?)?)\.?$/i;
/** Names whose address is what the name says. */
const POINTING_NAMES =
  /(?:^|\.)(?:nip\.io|sslip\.io|xip\.io|localtest\.me|lvh\.me|vcap\.me|lacolhost\.com|yoogle\.com|1u\.ms|rbndr\.us|requestrepo\.com)\.?$/i;
const INTERNAL_NAMES = /\.(?:internal|local|lan|intranet|corp|home\.arpa|cluster\.local)\.?$/i;

/** A name without a dot means something in some network alone. */
const SINGLE_LABEL = /\b(?:https?|wss?):[\\/]{1,4}(?:[^\s/@]{0,128}@)?[a-z0-9-]{1,63}(?:[:/?#\\\s]|$)/i;

function nameRule(
  id: string,
  finds: string,
  pattern: RegExp,
  examples: readonly string[],
  harmless: readonly string[],
): BuiltInRule {
  return { id, finds, examples, harmless, isIn: (text) => hostsIn(text).some((host) => pattern.test(host)) };
}

const metadata = addressRule(
  'net-metadata',
  'the address of the metadata of a cloud, which gives out credentials',
  'isMetadata',
  [
    ...[
      'http://169.254.169.254/latest/meta-data/',
      'http://2852039166/',
      'http://0xA9FEA9FE/',
      'http://0251.0376.0251.0376/',
    ],
    ...[
      'http://[::ffff:169.254.169.254]/',
      'http://[::ffff:a9fe:a9fe]/',
      'http://169.254.43518/',
      'http:2852039166',
      'http://169.254.\t169.254/',
      'http://[64:ff9b::a9fe:a9fe]/',
      'http://[fd00:ec2::254]/',
    ],
    ...[
      '169.254.169.254',
      'http://100.100.100.200/',
      'http://x@169.254.169.254/',
      'http://169。254。169。254/',
    ],
    ...['http://metadata.google.internal/', 'http://[64:ff9b::a9fe:a9fe]/', 'http://[2002:a9fe:a9fe::]/'],
  ],
  ['http://169.253.169.254/', 'http://example.com/169.254', 'version 1.2.3'],
);

const internal = nameRule(
  'net-internal-name',
  'a name of an internal network',
  INTERNAL_NAMES,
  [
    'http://db.internal/',
    'https://wiki.corp/',
    'http://printer.local/',
    'http://intranet/',
    'http://router:8080',
  ],
  ['http://internal.example.com/', 'https://local.example/', 'http: see below'],
);

export const network: RuleSet = {
  name: 'network',
  rules: [
    {
      ...metadata,
      isIn: (text) => metadata.isIn(text) || hostsIn(text).some((host) => METADATA_NAMES.test(host)),
    },
    addressRule(
      'net-private',
      'an address of a private network',
      'isPrivate',
      [
        ...[
          'http://10.0.0.1/',
          'http://192.168.1.1:8080',
          'http://172.16.0.1/',
          'http://0xc0a80101/',
          'http://3232235777/',
        ],
        ...[
          'http://[fc00::1]/',
          'http://[::ffff:10.0.0.1]/',
          'http://012.0.0.1/',
          '10.1.2.3',
          'http://100.64.0.1/',
        ],
      ],
      ['http://11.0.0.1/', 'http://172.32.0.1/', 'http://192.0.2.1/', 'version 10.2'],
    ),
    addressRule(
      'net-loopback',
      'an address of the machine itself',
      'isLoopback',
      [
        'http://127.0.0.1/',
        'http://127.1/',
        'http://0/',
        'http://0.0.0.0:80',
        'http://[::1]/',
        'http://2130706433/',
        'http://0x7f.1/',
        'http://[::ffff:7f00:1]/',
        'http://[::]/',
      ],
      ['http://128.0.0.1/', 'http://example.com/127.0.0.1.html.txt/x1'],
    ),
    addressRule(
      'net-link-local',
      'an address of the same wire',
      'isLinkLocal',
      ['http://169.254.1.1/', 'http://[fe80::1]/', 'http://[ff02::1]/', 'http://224.0.0.1/'],
      ['http://169.253.1.1/'],
    ),
    nameRule(
      'net-local-name',
      'a name of the machine itself or of its cluster',
      LOCAL_NAMES,
      [
        'http://localhost:3000/',
        'http://a.localhost/',
        'https://kubernetes.default.svc/',
        'http://host.docker.internal/',
      ],
      ['http://localhost.example.com/', 'the localhost of x'],
    ),
    {
      ...internal,
      isIn: (text) => internal.isIn(text) || SINGLE_LABEL.test(text.text),
    },
    nameRule(
      'net-pointing-name',
      'a name that leads to whatever address it says',
      POINTING_NAMES,
      ['http://127.0.0.1.nip.io/', 'http://a9fea9fe.nip.io', 'https://x.localtest.me/'],
      ['https://nip.io.example.com/', 'snip.iodine'],
    ),
    rule(
      'net-scheme',
      'an address of a protocol that carries others',
      /\b(?:gopher|dict|ldaps?|tftp|sftp|ftp|smb|cifs|telnet|rmi|ssh2\.[a-z]{1,8}|php|phar|expect|zlib|glob):\/\//i,
      ['gopher://x:70/_a', 'dict://x', 'ldap://x/a', 'php://filter/x'],
      ['https://x.example', 'a dict: x'],
    ),
    rule(
      'net-deceiving',
      'an address that looks like one of another host',
      /\bhttps?:[\\/]{1,4}[^\s/?#"'<>]{0,256}(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?::[^\s/?#@"'<>]{0,128})?@|\bhttps?:\/{0,4}\\/i,
      ['https://example.com@evil.example/', 'https://example.com:443@evil.example', 'http:\\\\evil.example'],
      ['https://example.com/@user', 'mail ada@example.com'],
    ),
  ],
};
