/** A refusal: what the client is told instead of an answer. Returned or thrown by hooks. */
import type { Json } from './identity.js';

/**
 * Codes of JSON-RPC errors that plugins give, and the HTTP status that goes with each. Sluice's own stand outside the
 * range that JSON-RPC and MCP reserve (2026-07-28, basic, "Error Codes").
 */
export const RefusalKind = {
  /** Nobody knows who calls: the credential is missing, wrong or expired. */
  unauthenticated: { code: -31009, status: 401 },
  /** It is known who calls, and that is not enough. */
  forbidden: { code: -31007, status: 403 },
  /** Too much, too fast; the call did not run. */
  limited: { code: -31010, status: 429 },
  /** Larger than it may be. */
  tooLarge: { code: -31012, status: 413 },
  /** The parameters are wrong. */
  invalid: { code: -32602, status: 400 },
  /** A plugin could not do its duty, so the call did not run. */
  failed: { code: -31011, status: 503 },
} as const;

export type RefusalKind = keyof typeof RefusalKind;

/** Header fields of an answer as pairs of name and value. */
export type Fields = readonly (readonly [name: string, value: string])[];

const BRAND = Symbol.for('dev.sluice.refusal');

/** Not an Error: refusing is the daily work of a gateway, and a stack costs more than the refusal. */
export class Refusal {
  static {
    Object.defineProperty(Refusal.prototype, BRAND, { value: true });
  }

  /** A plugin may bring a copy of this module of its own. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && BRAND in value;
  }

  constructor(
    readonly kind: RefusalKind,
    /** A sentence for the client: what is wrong, and what would be right. Never a secret. */
    readonly message: string,
    readonly details: {
      /** Header fields of the HTTP answer, for example `WWW-Authenticate` or `Retry-After`. */
      readonly headers?: Fields;
      /** `data` of the JSON-RPC error. */
      readonly data?: Json;
      /** For the log alone. */
      readonly cause?: unknown;
      /** Set by the engine: see `by`. */
      readonly by?: string;
    } = {},
  ) {}

  get code(): number {
    return RefusalKind[this.kind].code;
  }

  /** Name of the binding that gave it, once the engine has it. */
  get by(): string | undefined {
    return this.details.by;
  }

  get status(): number {
    return RefusalKind[this.kind].status;
  }
}

/** The same, as that of whoever gave it first. A plugin may give one and the same each time, and to several bindings. */
export function givenBy(by: string, refusal: Refusal): Refusal {
  const { kind, message, details } = refusal;
  return details.by === undefined ? new Refusal(kind, message, { ...details, by }) : refusal;
}
