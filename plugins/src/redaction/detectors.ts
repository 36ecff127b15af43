/**
 * What secrets and personal data look like: each by its format, and by its checksum where the format has one. All
 * expressions are bounded and begin with something rare, so a text is gone through about once for all of them.
 */
import { ibanLength, isCard, isIban } from './checksums.js';
import { jwtAt } from './jwt.js';

/** Something found: places in the text, and what it is without what separates its parts. */
export interface Found {
  readonly start: number;
  readonly end: number;
  readonly secret: string;
}

export interface Detector {
  readonly id: string;
  readonly kind: 'secret' | 'personal';
  /** What it finds, for the reference. */
  readonly finds: string;
  /** One that it finds; no real secret. */
  readonly example: string;
  /** False for what is looked for only when it is asked for. */
  readonly isDefault: boolean;
  /** Texts of which it contains one, by which it is looked for. */
  readonly anchors: readonly string[];
  /** What it is, around an anchor at this place. */
  readonly at: (text: string, place: number) => Found | undefined;
}

function secret(
  id: string,
  finds: string,
  example: string,
  anchors: readonly string[],
  pattern: RegExp,
): Detector {
  return { id, kind: 'secret', finds, example, isDefault: true, anchors, at: matchAt(pattern) };
}

/** A sticky expression; with two groups the second is what is secret, behind the first. */
function matchAt(pattern: RegExp): Detector['at'] {
  return (text, place) => {
    pattern.lastIndex = place;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    const [whole, before = '', matched = whole] = match;
    const start = place + before.length;
    // The end of a sentence is no part of it.
    const own = matched.endsWith('.') ? matched.slice(0, -1) : matched;
    return { start, end: start + own.length, secret: own };
  };
}

const LETTERS_52 = 'aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789aBcDeFgHiJkLmNoPqR';
const some = (length: number) => LETTERS_52.repeat(2).slice(0, length);

const PEM_END = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g;
const PEM_BODY = /[A-Za-z0-9+/=:,\s\\-]{0,32768}/y;
const PEM_BEGIN = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/y;
const MAX_PEM_LENGTH = 32_768;

/** To its end; a key whose end is missing is as secret, as far as it goes. */
function pemAt(text: string, start: number): Found | undefined {
  PEM_BEGIN.lastIndex = start;
  const begin = PEM_BEGIN.exec(text);
  if (begin === null) return undefined;
  const bodyAt = start + begin[0].length;
  PEM_END.lastIndex = 0;
  const closing = PEM_END.exec(text.slice(bodyAt, bodyAt + MAX_PEM_LENGTH));
  PEM_BODY.lastIndex = bodyAt;
  const body = PEM_BODY.exec(text)?.[0].length ?? 0;
  const end = bodyAt + (closing === null ? body : closing.index + closing[0].length);
  return { start, end, secret: text.slice(start, end).replace(/\s|\\[nr]/g, '') };
}

export const SECRETS: readonly Detector[] = [
  secret(
    'aws-access-key',
    'AWS access key ids',
    'AKIAIOSFODNN7EXAMPLE',
    ['AKIA', 'ASIA'],
    /A[KS]IA[A-Z0-9]{16}/y,
  ),
  secret(
    'aws-secret-key',
    'AWS secret access keys, beside their name',
    'aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    ['secret_access_key', 'SecretAccessKey', 'SECRET_ACCESS_KEY', 'secretAccessKey'],
    /([A-Za-z_]{15,17}["'\\]{0,4}\s{0,8}[:=]{1,2}\s{0,8}["'\\]{0,4})([A-Za-z0-9/+]{40})/y,
  ),
  secret('gcp-api-key', 'Google API keys', `AIza${some(35)}`, ['AIza'], /AIza[A-Za-z0-9_-]{35}/y),
  secret(
    'gcp-oauth',
    'Google OAuth tokens and client secrets',
    `ya29.${some(40)}`,
    ['ya29.', 'GOCSPX-'],
    /(?:ya29\.[A-Za-z0-9_-]{20,2048}|GOCSPX-[A-Za-z0-9_-]{20,64})/y,
  ),
  secret(
    'azure-key',
    'keys of Azure storage, Service Bus and Cosmos DB in connection strings',
    `AccountKey=${'a1B2c3D4'.repeat(10)}abcdef==`,
    ['AccountKey=', 'SharedAccessKey=', 'SharedAccessSignature='],
    /((?:AccountKey|SharedAccessKey|SharedAccessSignature)=)([A-Za-z0-9+/%&=_.-]{40,512})/y,
  ),
  secret(
    'azure-sas',
    'signatures of Azure SAS addresses',
    `sig=${some(43)}%3D`,
    ['sig='],
    /(sig=)([A-Za-z0-9%+/_-]{40,128}(?:%3D|=)?)/y,
  ),
  {
    ...secret(
      'azure-client-secret',
      'client secrets of Microsoft Entra',
      `abc8Q~${some(34)}`,
      ['Q~'],
      /(?:)/y,
    ),
    at: entraAt,
  },
  secret(
    'github-token',
    'GitHub tokens',
    `ghp_${some(36)}`,
    ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_', 'github_pat_'],
    /(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{50,255})/y,
  ),
  secret(
    'gitlab-token',
    'GitLab tokens',
    `glpat-${some(20)}`,
    ['glpat-', 'gldt-', 'glrt-', 'glptt-', 'glcbt-', 'glsoat-'],
    /gl(?:pat|dt|rt|ptt|cbt|soat)-[A-Za-z0-9_.-]{20,255}/y,
  ),
  secret(
    'slack-token',
    'Slack tokens and addresses of web hooks',
    'xoxb-0000000000-0000000000-EXAMPLEexampleEXAMPLEexam',
    ['xoxb-', 'xoxp-', 'xoxa-', 'xoxr-', 'xoxs-', 'xoxe', 'xapp-', 'hooks.slack.com/services/'],
    /(?:xox[abeprs](?:[.-][A-Za-z0-9]{1,64}){2,8}|xapp-[A-Za-z0-9-]{20,255}|hooks\.slack\.com\/services\/[A-Za-z0-9/]{20,128})/y,
  ),
  secret(
    'stripe-key',
    'Stripe keys',
    `sk_test_${some(24)}`,
    ['sk_live_', 'sk_test_', 'rk_live_', 'rk_test_', 'whsec_'],
    /(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9+/=]{24,128})/y,
  ),
  secret(
    'openai-key',
    'OpenAI keys',
    `sk-proj-${some(48)}`,
    ['sk-proj-', 'sk-svcacct-', 'sk-admin-', 'sk-'],
    /sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,255}|[A-Za-z0-9]{40,64})/y,
  ),
  secret(
    'anthropic-key',
    'Anthropic keys',
    `sk-ant-api03-${some(48)}`,
    ['sk-ant-'],
    /sk-ant-[A-Za-z0-9_-]{20,255}/y,
  ),
  secret(
    'registry-token',
    'tokens of npm, PyPI and Hugging Face',
    `npm_${some(36)}`,
    ['npm_', 'pypi-AgE', 'hf_'],
    /(?:npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50,255}|hf_[A-Za-z0-9]{30,64})/y,
  ),
  secret(
    'sendgrid-key',
    'SendGrid keys',
    `SG.${some(22)}.${some(43)}`,
    ['SG.'],
    /SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}/y,
  ),
  secret(
    'sluice-key',
    'API keys of this gateway',
    `slk_00000000_${some(43)}`,
    ['slk_'],
    /slk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}/y,
  ),
  secret(
    'url-password',
    'passwords in addresses',
    'postgres://ada:correct-horse@db.example.com/app',
    ['://'],
    /(:\/\/[^\s/:@"'<>\\]{0,256}:)([^\s/@"'<>\\]{1,256})(?=@)/y,
  ),
  {
    id: 'jwt',
    kind: 'secret',
    finds: 'JSON Web Tokens, signed or encrypted, whose header decodes',
    example:
      'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U',
    isDefault: true,
    // `{"`, and with a space or a line break between.
    anchors: ['eyJ', 'eyAi', 'ewog', 'ewoi', 'ewoJ', 'ew0K'],
    at: jwtAt,
  },
  {
    id: 'private-key',
    kind: 'secret',
    finds: 'private keys in PEM and OpenPGP armour',
    example:
      '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----',
    isDefault: true,
    anchors: ['-----BEGIN '],
    at: pemAt,
  },
];

const ENTRA = /[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}/y;

function entraAt(text: string, place: number): Found | undefined {
  const start = place - 4;
  if (start < 0) return undefined;
  return matchAt(ENTRA)(text, start);
}

/** How many characters of a run of digits are looked at for one number. */
const MAX_CARD_SPAN = 57;
const CARD_SEPARATOR = /[\s./_\u2010-\u2015\u2212-]{1,2}/y;
const CARD_LAYOUTS: ReadonlySet<string> = new Set([
  ...['4-4-4-4', '4-4-4-4-3', '4-6-5', '4-6-4', '6-13', '8-8', '6-10', '12-4'],
]);
const MAIL_LOCAL = /[\w.%+'\-\u00a1-\ud7ff\ue000-\uffff]/;
const MAX_LOCAL_LENGTH = 64;
/** What stands before the host in an address of the web is no mailbox. */
const USER_OF_ADDRESS = /:\/\/[^\s/@]{0,64}$/;
const MAX_USER_LENGTH = 68;
const MAIL_DOMAIN =
  /@(?:[A-Za-z0-9\u00a1-\ud7ff\ue000-\uffff](?:[A-Za-z0-9\u00a1-\ud7ff\ue000-\uffff-]{0,61}[A-Za-z0-9\u00a1-\ud7ff\ue000-\uffff])?\.){1,8}[A-Za-z\u00a1-\ud7ff\ue000-\uffff]{2,24}/y;

function mailAt(text: string, at: number): Found | undefined {
  let start = at;
  while (start > 0 && at - start < MAX_LOCAL_LENGTH && MAIL_LOCAL.test(text[start - 1] as string)) start -= 1;
  while (start < at && text[start] === '.') start += 1;
  if (start === at || USER_OF_ADDRESS.test(text.slice(Math.max(0, start - MAX_USER_LENGTH), start)))
    return undefined;
  MAIL_DOMAIN.lastIndex = at;
  const domain = MAIL_DOMAIN.exec(text);
  if (domain === null) return undefined;
  const end = at + domain[0].length;
  return { start, end, secret: text.slice(start, end).toLowerCase() };
}

/** Personal data that are looked for by a class of characters; the expression finds where one may begin. */
export interface Numbers {
  readonly detector: Detector;
  readonly begins: RegExp;
}

const card: Detector = {
  id: 'card-number',
  kind: 'personal',
  finds: 'numbers of payment cards with a right check digit (Luhn)',
  example: '4111 1111 1111 1111',
  isDefault: true,
  anchors: [],
  at(text, start) {
    const groups = [0];
    let digits = '';
    let separator: string | undefined;
    const limit = Math.min(text.length, start + MAX_CARD_SPAN);
    let found: Found | undefined;
    for (let place = start; place < limit && digits.length < 19; ) {
      if (!isDigit(text.charCodeAt(place))) {
        CARD_SEPARATOR.lastIndex = place;
        const own = CARD_SEPARATOR.exec(text)?.[0];
        if (own === undefined || (separator ?? own) !== own) break;
        separator = own;
        groups.push(0);
        place += own.length;
        continue;
      }
      digits += text[place];
      groups[groups.length - 1] = (groups.at(-1) as number) + 1;
      place += 1;
      // Inside of a longer number nothing ends.
      if (digits.length < 14 || isDigit(text.charCodeAt(place)) || !isCardLayout(groups)) continue;
      if (isCard(digits)) found = { start, end: place, secret: digits };
    }
    return found;
  },
};

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** As cards are printed; other groups are tables of numbers, of which one in ten has a right check digit. */
function isCardLayout(groups: readonly number[]): boolean {
  return groups.length === 1 || CARD_LAYOUTS.has(groups.join('-')) || groups.every((length) => length === 1);
}

const iban: Detector = {
  id: 'iban',
  kind: 'personal',
  finds: 'international bank account numbers with right check digits (modulo 97)',
  example: 'DE89 3704 0044 0532 0130 00',
  isDefault: true,
  anchors: [],
  at(text, start) {
    const length = ibanLength(text.slice(start, start + 2));
    if (length === undefined || (start > 0 && /[A-Za-z0-9]/.test(text[start - 1] as string)))
      return undefined;
    let own = '';
    let end = start;
    while (own.length < length && end < text.length && end - start < length * 2) {
      const character = text[end] as string;
      if (/[A-Za-z0-9]/.test(character)) own += character;
      else if (character !== ' ' && character !== '-') break;
      end += 1;
    }
    if (own.length !== length || /[A-Za-z0-9]/.test(text[end] ?? '') || !isIban(own)) return undefined;
    return { start, end, secret: own.toUpperCase() };
  },
};

const PHONE = /\+[1-9](?:[ ().-]{0,2}[0-9]){6,14}(?![0-9])/y;

const phone: Detector = {
  id: 'phone',
  kind: 'personal',
  finds: 'telephone numbers with their country code (E.164)',
  example: '+44 20 7946 0958',
  isDefault: false,
  anchors: ['+'],
  at(text, start) {
    const found = matchAt(PHONE)(text, start);
    return found && { ...found, secret: found.secret.replace(/\D/g, '') };
  },
};

const email: Detector = {
  id: 'email',
  kind: 'personal',
  finds: 'addresses of e-mail',
  example: 'ada@example.com',
  isDefault: true,
  anchors: ['@'],
  at: mailAt,
};

export const NUMBERS: readonly Numbers[] = [
  { detector: card, begins: /(?<![0-9])[2-6](?=(?:[\s./_\u2010-\u2015\u2212-]{0,2}[0-9]){12})/g },
  { detector: iban, begins: /[A-Za-z][A-Za-z][0-9][0-9](?=[ -]?[A-Za-z0-9]{2})/g },
];

/** All that come with the product. */
export const DETECTORS: readonly Detector[] = [...SECRETS, card, iban, email, phone];
