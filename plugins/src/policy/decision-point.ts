/** What rules are asked, and what they say, whatever they are written in. */
import type { JsonObject, MaybePromise, Target } from '@sluice/sdk';
import type { Scope } from '../expressions/scope.js';

/** One thing that a request is about. A request for several is several questions. */
export interface Question {
  /** What the hook was given: the attributes that were declared. */
  readonly ctx: Scope;
  /** The method with which the target is used, for a completion that of what it completes; else that of the request. */
  readonly method: string;
  /** All methods as which the request counts: that of the request, and the one above. */
  readonly methods: readonly string[];
  /** Undefined where the request is about nothing, or about something that nobody knows. */
  readonly target: Target | undefined;
  /**
   * A request as it came; or its use some time later, as an entry of a list offers it: then arguments, the counters of
   * the session and the time are not known yet.
   */
  readonly isLater: boolean;
  /** True where the name of the target is not known yet either: that of a template, or one that nobody has. */
  readonly isNameOpen: boolean;
  /** True where the name is written as a server may read it, and not as it came. */
  readonly isPlain: boolean;
  /** What the plugin itself has found out: `agent`, `session`, `now`. */
  readonly facts: Scope;
}

export interface Verdict {
  readonly outcome: 'allow' | 'deny' | 'ask';
  /** Id of the rule that says so. */
  readonly rule: string;
  /** What the client is told. */
  readonly reason?: string | undefined;
  /** What a person is asked. */
  readonly ask?: Asking | undefined;
  /** False where it is only noted, and the next rules are asked. */
  readonly isEnforced: boolean;
  /** True where it is said because the rule could not be computed. */
  readonly isError?: boolean;
  /** Why nobody could say anything. Then nothing is denied: what becomes of the request its binding says. */
  readonly failure?: unknown;
}

export interface Asking {
  readonly message: string;
  readonly schema?: JsonObject | undefined;
  /** `{id}` in it and the next one names this very use. */
  readonly url?: string | undefined;
  /** Says what came of the page. */
  readonly confirmUrl?: string | undefined;
}

/** What may come of a use later on. */
export interface Prospect {
  /** It may be allowed, or a person may be asked. */
  readonly mayPass: boolean;
  /** It may be denied. */
  readonly mayFail: boolean;
  /** These rules may say nothing about it, so the next ones decide. */
  readonly mayGoOn: boolean;
  /** Why nobody can say; see {@link Verdict}. */
  readonly failure?: unknown;
}

/** Rules of one kind, in their order. The first point that says something decides. */
export interface DecisionPoint {
  /** Attributes that they read, see `reads` of a plugin. */
  readonly reads: readonly string[];
  /** What they read of `facts`: `session.count`. */
  readonly paths: readonly string[];
  /** True where a person may be asked. */
  readonly asks: boolean;
  /** True where a person may be asked, or the answer waits for something; then calls are decided in `exchange`. */
  readonly waits: boolean;
  /**
   * What is said of a question that is not `isLater`; undefined when nothing is.
   *
   * @param note is told what is not enforced.
   */
  decide(question: Question, note: (verdict: Verdict) => void): MaybePromise<Verdict | undefined>;
  /** What may be said of a question that is `isLater`. Nothing that is certain to be denied may pass. */
  foresee(question: Question): MaybePromise<Prospect>;
}
