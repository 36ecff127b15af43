/** What servers send, gone through: characters that nobody sees, secrets, instructions, and size. */
import { type Json, type JsonObject, type OutcomeError, sizeBytes } from '@sluice/sdk';
import {
  changed,
  Redactor,
  type RedactorOptions,
  redactorOptions,
  type Visitor,
} from '../redaction/index.js';
import { acrossBorders } from './borders.js';
import type { Config } from './config.js';
import { judged, withoutInstructions } from './instructions.js';
import { withoutInvisible } from './invisible.js';
import { hasRepeatedName } from './json-text.js';
import { newReport, type Report } from './report.js';
import { shortened } from './shorten.js';

/** What is opaque to clients comes back to servers as it was. */
const OPAQUE: ReadonlySet<string> = new Set([
  'requestState',
  'nextCursor',
  'taskId',
  'resultType',
  'cacheScope',
]);
/** Texts of a schema that only people and models read. */
const DESCRIPTIVE: ReadonlySet<string> = new Set(['description', 'title']);
/** What an entry of a list is called by. */
const IDENTITIES: ReadonlySet<string> = new Set(['name', 'uri', 'uriTemplate']);
const RELATED_TASK = 'io.modelcontextprotocol/related-task';
/** Numbers that lose digits when they are read. */
const LONG_NUMBER = /(?<=[:,[\s])[0-9]{17,19}(?=[\s,\]}])/g;

export type AnswersConfig = Pick<
  Config,
  'mode' | 'redaction' | 'max_result_bytes' | 'oversize' | 'invisible' | 'instructions'
>;

/** An answer afterwards; the same object when nothing was changed. */
export interface Guarded<T> {
  readonly value: T;
  readonly report: Report;
}

export class Answers {
  readonly redactor: Redactor | undefined;
  private readonly maxBytes: number;

  /** @param random keys tokens where no secret is configured */
  constructor(
    private readonly config: AnswersConfig,
    random: string | Uint8Array,
  ) {
    const options: RedactorOptions | undefined =
      config.redaction && redactorOptions(config.redaction, random);
    this.redactor = options && new Redactor(options);
    this.maxBytes =
      config.max_result_bytes === undefined
        ? Number.POSITIVE_INFINITY
        : sizeBytes(config.max_result_bytes as never);
  }

  /** @param json the result as it came. */
  result(result: JsonObject, json: string): Guarded<JsonObject> {
    return this.within((report) => this.ofResult(result, json, report));
  }

  private ofResult(result: JsonObject, json: string, report: Report): JsonObject {
    const visitor = this.visitor(report, this.longNumber(json, report));
    // First, while all of what is split over blocks is there.
    const joined = this.redactor === undefined ? result : acrossBorders(result, this.redactor, report);
    let own = changed(joined, {
      ...visitor,
      isKept: (name, depth) => depth === 0 && OPAQUE.has(name),
      member: (name, value, owner) =>
        isNameOfTask(name, owner) ? value : this.bytesMember(name, value, owner, visitor),
    }) as JsonObject;
    this.judgeTogether(own, report);
    // What reads the first of two members of one name would read what was not looked at.
    if (own === result && hasRepeatedName(json, result)) own = { ...result };
    this.decide(report);
    return this.sized(own, own === result ? json : undefined, report);
  }

  error(error: OutcomeError): Guarded<OutcomeError> {
    return this.within((report) => this.ofError(error, report));
  }

  private ofError(error: OutcomeError, report: Report): OutcomeError {
    const visitor = this.visitor(report);
    const message = visitor.text(String(error.message), 'message');
    const data = error.data === undefined ? undefined : changed(error.data, visitor);
    this.decide(report);
    const isSame = message === error.message && data === error.data;
    return isSame ? error : { code: error.code, message, ...(data !== undefined && { data }) };
  }

  /** An entry of a list. What it is called by, and what of a schema programs read, stays as it is. */
  entry(entry: JsonObject): Guarded<JsonObject> {
    return this.within((report) => this.ofEntry(entry, report));
  }

  private ofEntry(entry: JsonObject, report: Report): JsonObject {
    const visitor = this.visitor(report);
    const own = changed(entry, {
      text(text, name) {
        if (DESCRIPTIVE.has(name)) return visitor.text(text, name);
        // Only looked at.
        visitor.text(text, name);
        return text;
      },
      isKept: (name, depth) => name === '_meta' || (depth === 0 && IDENTITIES.has(name)),
    }) as JsonObject;
    this.decide(report);
    return own;
  }

  /** A text by itself, for example of a question. */
  look(value: Json): Report {
    const { report } = this.within((own) => changed(value, this.visitor(own)));
    this.decide(report);
    return report;
  }

  private within<T>(change: (report: Report) => T): Guarded<T> {
    const report = newReport(this.config.instructions.min_score);
    return { value: change(report), report };
  }

  private visitor(report: Report, longNumber?: (number: number) => Json | undefined): Visitor {
    const { redactor, config } = this;
    const redaction = redactor?.visitor((id) => {
      report.redacted[id] = (report.redacted[id] ?? 0) + 1;
    });
    const { invisible } = config;
    return {
      text: (text, name) => {
        let own = text;
        // What is hidden is judged before it is taken away.
        if (config.instructions.action !== 'ignore') own = this.judge(own, report);
        if (invisible !== 'keep') {
          const seen = withoutInvisible(own);
          if (seen !== own) report.invisible += 1;
          own = seen;
        }
        return redaction?.text(own, name) ?? own;
      },
      ...(redaction !== undefined && {
        name: redaction.name,
        number: (number: number) => longNumber?.(number) ?? redaction.number(number),
      }),
    };
  }

  private judge(text: string, report: Report): string {
    const { action, min_score } = this.config.instructions;
    const { score, signals } = judged(text);
    if (score > report.score) {
      report.score = score;
      report.signals = signals;
    }
    if (action !== 'cut' || score < min_score) return text;
    report.isCut = true;
    // Characters that nobody sees may be what makes it one.
    return withoutInstructions(withoutInvisible(text));
  }

  /** Instructions that begin in one block and end in another have no sentence that could be left out. */
  private judgeTogether(result: JsonObject, report: Report): void {
    const { action, min_score } = this.config.instructions;
    const blocks = result.content;
    if (action === 'ignore' || !Array.isArray(blocks) || blocks.length < 2 || report.score >= min_score)
      return;
    // A server may send whatever it likes as a block.
    const texts = (blocks as readonly ({ text?: unknown } | null)[]).flatMap((block) =>
      typeof block?.text === 'string' ? [block.text] : [],
    );
    const { score, signals } = judged(texts.join(' '));
    if (score < min_score || score <= report.score) return;
    Object.assign(report, { score, signals });
    if (action === 'cut') report.denied = instructionsDenied(signals);
  }

  private decide(report: Report): void {
    const { invisible, instructions } = this.config;
    if (invisible === 'deny' && report.invisible > 0)
      report.denied = { rule: 'invisible', reason: 'it holds characters that nobody sees' };
    if (instructions.action === 'deny' && report.score >= instructions.min_score)
      report.denied = instructionsDenied(report.signals);
  }

  /** Files are written in base64, so what is text in them is changed there. */
  private bytesMember(name: string, value: Json, owner: JsonObject, visitor: Visitor): Json | undefined {
    if (
      (name !== 'blob' && name !== 'data') ||
      typeof value !== 'string' ||
      typeof owner.mimeType !== 'string'
    )
      return undefined;
    const bytes = Buffer.from(value, 'base64');
    const text = bytes.toString('utf8');
    // What is no text stays as it is: a picture has no secrets that one could read.
    if (!Buffer.from(text).equals(bytes)) return value;
    const own = visitor.text(text, name);
    return own === text ? value : Buffer.from(own).toString('base64');
  }

  /** A card of 17 digits and more is read as another number than it is, so it is looked for in the text. */
  private longNumber(json: string, report: Report): ((number: number) => Json | undefined) | undefined {
    const { redactor } = this;
    if (redactor === undefined) return undefined;
    let found: boolean | undefined;
    return (number) => {
      if (Number.isSafeInteger(number) || !Number.isInteger(number) || Math.abs(number) >= 1e19)
        return undefined;
      found ??= (json.match(LONG_NUMBER) ?? []).some((each) => redactor.find(each).length > 0);
      if (!found) return number;
      report.redacted['card-number'] = (report.redacted['card-number'] ?? 0) + 1;
      return redactor.token('card-number', String(number));
    };
  }

  private sized(result: JsonObject, json: string | undefined, report: Report): JsonObject {
    const { maxBytes } = this;
    if (maxBytes === Number.POSITIVE_INFINITY) return result;
    const bytes = Buffer.byteLength(json ?? JSON.stringify(result));
    if (bytes <= maxBytes) return result;
    const short = this.config.oversize === 'cut' ? shortened(result, bytes, maxBytes) : undefined;
    if (short !== undefined) {
      report.isShortened = true;
      return short;
    }
    const reason = `it has ${bytes} bytes, and may have ${maxBytes}`;
    report.denied ??= { rule: 'max_result_bytes', reason, isTooLarge: true };
    return result;
  }
}

/** What a client asks for a task by, in the task itself and in the results that belong to it. */
function isNameOfTask(name: string, owner: JsonObject): boolean {
  if (name === RELATED_TASK) return true;
  return name === 'taskId' && typeof owner.status === 'string';
}

function instructionsDenied(signals: readonly string[]): NonNullable<Report['denied']> {
  return {
    rule: 'instructions',
    reason: `it holds what looks like instructions to a model (${signals.join(', ')})`,
  };
}
