/**
 * Answers as they lie in a store that others may read and write: named and encrypted with keys that come from a secret,
 * so that nobody without it can read one, make one, or put one in the place of another.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import type { Subject } from './changes.js';
import { MAX_LIFETIME_MS } from './config.js';
import { KeptAnswer } from './kept-answer.js';

const IV_BYTES = 12;
const TAG_BYTES = 16;
/** Bytes that sealing adds, beside what is said of the answer. */
export const SEAL_BYTES = 1_024;

/** What has to be the same still when an answer is found again. */
export type Generations = readonly (string | null)[];

type Head = readonly [fromMs: number, freshUntilMs: number, isPublic: boolean, generations: Generations];

export class AnswerSealer {
  private readonly nameKey: Buffer;
  private readonly valueKey: Buffer;

  constructor(secret: string) {
    const derived = (purpose: string) =>
      Buffer.from(hkdfSync('sha256', secret, '', `sluice cache ${purpose}`, 32));
    this.nameKey = derived('names');
    this.valueKey = derived('values');
  }

  /** Stands for a text that nobody can learn from it. */
  nameOf(text: string): string {
    return createHmac('sha256', this.nameKey).update(text).digest('base64url');
  }

  seal(key: string, { text, fromMs, freshUntilMs, isPublic }: KeptAnswer, generations: Generations): Buffer {
    const head: Head = [fromMs, freshUntilMs, isPublic, generations];
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.keyOf(key), iv);
    const sealed = cipher.update(`${JSON.stringify(head)}\n${text}`, 'utf8');
    return Buffer.concat([iv, sealed, cipher.final(), cipher.getAuthTag()]);
  }

  /**
   * @param found what the generations are now, and what time it is.
   * @returns undefined for what is too old; `'forged'` for what was not sealed here under this key.
   */
  open(
    key: string,
    sealed: Buffer,
    found: { readonly generations: Generations; readonly nowMs: number; readonly asOf: number },
    subject: Subject,
  ): KeptAnswer | 'forged' | undefined {
    const opened = this.decrypted(key, sealed);
    if (opened === undefined) return 'forged';
    const end = opened.indexOf('\n');
    const [fromMs, freshUntilMs, isPublic, generations] = JSON.parse(opened.slice(0, end)) as Head;
    if (JSON.stringify(generations) !== JSON.stringify(found.generations)) return undefined;
    const { nowMs, asOf } = found;
    // The clocks of two nodes may differ.
    const untilMs = Math.min(freshUntilMs, nowMs + MAX_LIFETIME_MS);
    if (untilMs <= nowMs) return undefined;
    return KeptAnswer.again(opened.slice(end + 1), Math.min(fromMs, nowMs), untilMs, isPublic, subject, asOf);
  }

  private decrypted(key: string, sealed: Buffer): string | undefined {
    if (sealed.length < IV_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.keyOf(key), sealed.subarray(0, IV_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      const text = decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString();
    } catch {
      return undefined;
    }
  }

  /** One for each answer, so that neither can stand for another nor their initialisation vectors run out. */
  private keyOf(key: string): Buffer {
    return createHmac('sha256', this.valueKey).update(key).digest();
  }
}
