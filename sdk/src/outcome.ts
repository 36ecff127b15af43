/** How a request ended: a result or an error, parsed only when somebody looks. */
import type { Json, JsonObject } from './identity.js';
import type { Fields, Refusal } from './refusal.js';

export interface OutcomeError {
  readonly code: number;
  readonly message: string;
  readonly data?: Json | undefined;
}

/** `task` and others are added by extensions (2026-07-28, basic, "resultType"). */
export type OutcomeKind = 'complete' | 'input_required' | 'error' | (string & {});

/** Where the JSON text of a result stands in the bytes of a response. */
interface ResultPlace {
  readonly start: number;
  readonly end: number;
}

type FindResult = (response: Uint8Array) => ResultPlace;

interface Parts {
  readonly bytes?: Uint8Array;
  readonly resultAt?: ResultPlace | FindResult | undefined;
  readonly errorCode: number;
  readonly result?: JsonObject;
  readonly resultJson?: string;
  readonly error?: OutcomeError;
  readonly refusal?: Refusal;
  readonly headers?: Fields;
  readonly isHandedOver?: boolean;
}

const BRAND = Symbol.for('dev.sluice.outcome');

/**
 * Only the functions here make one, so a layer that forgets to return what `next()` gave it does not compile.
 * Immutable; {@link withResult} and {@link withHeaders} make another.
 */
export class Outcome {
  static {
    Object.defineProperty(Outcome.prototype, BRAND, { value: true });
  }

  /** A plugin may bring a copy of this module of its own. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && BRAND in value;
  }

  private text: string | undefined;
  private parsed: { readonly result?: JsonObject; readonly error?: OutcomeError } | undefined;

  private constructor(private readonly parts: Parts) {}

  /**
   * A JSON-RPC response as it came.
   *
   * @param errorCode 0 for a result, else the code of its error.
   * @param resultAt where the result is, or what finds it; without it the text is written anew.
   */
  static ofResponse(bytes: Uint8Array, errorCode: number, resultAt?: ResultPlace | FindResult): Outcome {
    return new Outcome({ bytes, errorCode, resultAt });
  }

  static ofResult(result: JsonObject): Outcome {
    return new Outcome({ result, errorCode: 0 });
  }

  /** A result that is JSON text already. */
  static ofResultJson(resultJson: string): Outcome {
    return new Outcome({ resultJson, errorCode: 0 });
  }

  static ofError(error: OutcomeError): Outcome {
    return new Outcome({ error, errorCode: error.code });
  }

  /** Stands for an answer that another worker gives; the error is for whoever looks at it nevertheless. */
  static handedOver(error: OutcomeError): Outcome {
    return new Outcome({ error, errorCode: error.code, isHandedOver: true });
  }

  static ofRefusal(refusal: Refusal): Outcome {
    const { code, message, details } = refusal;
    const error = { code, message, ...(details.data === undefined ? {} : { data: details.data }) };
    return new Outcome({ error, refusal, errorCode: code, headers: details.headers });
  }

  /** The response as it came, while nothing about it was changed. */
  get bytes(): Uint8Array | undefined {
    return this.parts.bytes;
  }

  /** 0 for a result. */
  get errorCode(): number {
    return this.parts.errorCode;
  }

  /**
   * True where another worker of the gateway has to do all of it: the request goes through its plugins there, and what is
   * made of this outcome goes nowhere.
   */
  get isHandedOver(): boolean {
    return this.parts.isHandedOver === true;
  }

  /** Set when a plugin refused. */
  get refusal(): Refusal | undefined {
    return this.parts.refusal;
  }

  /** Fields for the head of the HTTP answer, where the answer has a head of its own. */
  get headers(): Fields {
    return this.parts.headers ?? [];
  }

  get kind(): OutcomeKind {
    if (this.errorCode !== 0) return 'error';
    const type = this.result?.resultType;
    return typeof type === 'string' ? type : 'complete';
  }

  /** Undefined for an error. Not to be changed in place. */
  get result(): JsonObject | undefined {
    return this.parts.result ?? this.read().result;
  }

  /** The result as JSON text, as it came while nothing about it was changed. */
  get resultJson(): string | undefined {
    if (this.errorCode !== 0) return undefined;
    const { bytes, resultAt, resultJson } = this.parts;
    if (resultJson !== undefined) return resultJson;
    if (bytes === undefined || resultAt === undefined) {
      // Whoever measures it is not the last to want it.
      this.text ??= JSON.stringify(this.result);
      return this.text;
    }
    const { start, end } = typeof resultAt === 'function' ? resultAt(bytes) : resultAt;
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8', start, end);
  }

  get error(): OutcomeError | undefined {
    return this.parts.error ?? this.read().error;
  }

  /** True when it says what the other one says; their header fields may differ. */
  saysAs(other: Outcome): boolean {
    const [own, its] = [this.parts, other.parts];
    if (own.bytes !== undefined && own.bytes === its.bytes) return true;
    if (own.result !== undefined && own.result === its.result) return true;
    if (own.error !== undefined && own.error === its.error) return true;
    return this.errorCode === 0 && other.errorCode === 0 && this.resultJson === other.resultJson;
  }

  /** The same refusal, and who gave it. */
  refusedBy(refusal: Refusal): Outcome {
    return new Outcome({ ...this.parts, refusal });
  }

  /** The same with another result. Its header fields stay. */
  withResult(result: JsonObject): Outcome {
    return new Outcome({ result, errorCode: 0, headers: this.parts.headers });
  }

  /** The same with more fields in the head of the HTTP answer. */
  withHeaders(headers: Fields): Outcome {
    const { headers: own } = this.parts;
    return new Outcome({ ...this.parts, headers: own === undefined ? headers : [...own, ...headers] });
  }

  private read() {
    if (this.parsed === undefined) {
      const { bytes, resultJson, errorCode } = this.parts;
      if (bytes !== undefined) this.parsed = JSON.parse(Buffer.from(bytes).toString());
      else if (resultJson !== undefined) this.parsed = { result: JSON.parse(resultJson) };
      else this.parsed = {};
      if (errorCode !== 0) this.parsed = { error: this.parsed?.error };
    }
    return this.parsed as NonNullable<typeof this.parsed>;
  }
}
