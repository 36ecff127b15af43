/** Who calls, as an identity plugin has established it. */

/** JSON, as it comes from a request: never to be changed in place. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: Json | undefined;
}

export interface Identity {
  /**
   * Names the caller for as long as it exists: sessions, limits, shared connections and the audit log hang on it.
   * Two callers never have the same one, whatever established them: begin it with the plugin's name.
   */
  readonly id: string;
  /** The consumer to whom the credential belongs, where there is one. */
  readonly consumer?: string | undefined;
  /** The tenant to whom the caller belongs, where there is one. */
  readonly tenant?: string | undefined;
  /** What the credential allows. */
  readonly scopes: readonly string[];
  /** Facts about the caller: claims of a token, or what the configuration says. */
  readonly claims: JsonObject;
  /** What tells the credential apart in logs: the prefix of a key, the id of a token. Never a secret. */
  readonly credential?: string | undefined;
  /** Milliseconds since the epoch; from then on the identity does not count any more. */
  readonly expiresAtMs?: number | undefined;
}

/** Whom a request is made for where nobody asks who calls. */
export const ANONYMOUS: Identity = Object.freeze({
  id: 'anonymous',
  scopes: Object.freeze([]),
  claims: Object.freeze({}),
});
