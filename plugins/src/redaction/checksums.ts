/** Numbers that carry their own check. */

/** True for digits with a check digit of ISO/IEC 7812-1, annex B. */
export function isLuhn(digits: string): boolean {
  let sum = 0;
  for (let index = digits.length - 1, isDoubled = false; index >= 0; index -= 1, isDoubled = !isDoubled) {
    const digit = digits.charCodeAt(index) - 48;
    const own = isDoubled ? digit * 2 : digit;
    sum += own > 9 ? own - 9 : own;
  }
  return sum % 10 === 0;
}

/** Numbers of payment cards by how they begin, with how long those are (the issuers' own publications). */
const CARDS: readonly (readonly [begin: RegExp, lengths: readonly number[]])[] = [
  // Those of 13 digits are no longer given out, and times in milliseconds have as many.
  [/^4/, [16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, [16]],
  [/^3[47]/, [15]],
  [/^(?:6011|64[4-9]|65)/, [16, 19]],
  [/^(?:30[0-5]|36|38)/, [14]],
  [/^35(?:2[89]|[3-8])/, [16]],
  [/^62/, [16, 17, 18, 19]],
];

/** True for the digits of a payment card. */
export function isCard(digits: string): boolean {
  const isKnown = CARDS.some(([begin, lengths]) => lengths.includes(digits.length) && begin.test(digits));
  // All digits alike have a right check digit now and then, and are nobody's card.
  return isKnown && isLuhn(digits) && !/^(\d)\1+$/.test(digits);
}

/** Lengths by country (SWIFT, IBAN Registry). */
const IBAN_LENGTHS: Readonly<Record<string, number>> = Object.assign(Object.create(null), {
  ...{
    AD: 24,
    AE: 23,
    AL: 28,
    AT: 20,
    AZ: 28,
    BA: 20,
    BE: 16,
    BG: 22,
    BH: 22,
    BR: 29,
    BY: 28,
    CH: 21,
    CR: 22,
  },
  ...{
    CY: 28,
    CZ: 24,
    DE: 22,
    DK: 18,
    DO: 28,
    EE: 20,
    EG: 29,
    ES: 24,
    FI: 18,
    FO: 18,
    FR: 27,
    GB: 22,
    GE: 22,
  },
  ...{
    GI: 23,
    GL: 18,
    GR: 27,
    GT: 28,
    HR: 21,
    HU: 28,
    IE: 22,
    IL: 23,
    IQ: 23,
    IS: 26,
    IT: 27,
    JO: 30,
    KW: 30,
  },
  ...{
    KZ: 20,
    LB: 28,
    LC: 32,
    LI: 21,
    LT: 20,
    LU: 20,
    LV: 21,
    LY: 25,
    MC: 27,
    MD: 24,
    ME: 22,
    MK: 19,
    MR: 27,
  },
  ...{
    MT: 31,
    MU: 30,
    NL: 18,
    NO: 15,
    PK: 24,
    PL: 28,
    PS: 29,
    PT: 25,
    QA: 29,
    RO: 24,
    RS: 22,
    SA: 24,
    SC: 31,
  },
  ...{
    SD: 18,
    SE: 24,
    SI: 19,
    SK: 24,
    SM: 27,
    ST: 25,
    SV: 28,
    TL: 23,
    TN: 24,
    TR: 26,
    UA: 29,
    VA: 22,
    VG: 24,
  },
  ...{ XK: 20 },
});

/** How long an IBAN of a country is; undefined for one that has none. */
export function ibanLength(country: string): number | undefined {
  return IBAN_LENGTHS[country.toUpperCase()];
}

/** True when the check digits are right (ISO 13616-1, ISO/IEC 7064 MOD 97-10). Without separators. */
export function isIban(text: string): boolean {
  const own = text.toUpperCase();
  if (ibanLength(own.slice(0, 2)) !== own.length) return false;
  let rest = 0;
  for (const character of own.slice(4) + own.slice(0, 4)) {
    const value = Number.parseInt(character, 36);
    rest = (value > 9 ? rest * 100 + value : rest * 10 + value) % 97;
  }
  return rest === 1;
}
