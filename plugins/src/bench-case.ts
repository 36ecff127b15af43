/** What `npm run bench:micro` measures of a plugin: each folder declares its cases in `bench.ts`. */
import type {
  Changes,
  FetchAnswer,
  Fields,
  Identity,
  JsonObject,
  Outcome,
  Plugin,
  Refusal,
} from '@sluice/sdk';

/** All of one plugin. */
export interface PluginBench {
  readonly plugin: Plugin;
  readonly cases: readonly BenchCase[];
}

export interface BenchCase {
  /** What happens in it: `a key that is known`. */
  readonly name: string;
  /** What is measured: the head of a request, finding out who calls, or the way of a call and of its answer. */
  readonly stage: 'head' | 'admission' | 'call';
  /** As it stands in a file. */
  readonly config?: object;
  /** The same each time, unless it says otherwise. */
  readonly request?: BenchRequest;
  /** What the upstream lists of the tool that is called. By default it does not list it. */
  readonly definition?: JsonObject;
  /** Answers what the plugin fetches. */
  readonly fetch?: (url: string) => FetchAnswer;
  /** What it may add to a call at most, where that was promised. */
  readonly limitNanos?: number;
  /** Whether it went as the name of the case says; a refusal in place of an answer would be cheap. */
  readonly isAsExpected: (seen: Seen) => boolean;
}

export interface BenchRequest {
  readonly headers?: Readonly<Record<string, string>>;
  readonly identity?: Partial<Identity>;
  /** Makes the arguments of each call from its number. By default all have the same. */
  readonly argumentsOf?: (index: number) => JsonObject;
}

/** How one request went. */
export interface Seen {
  /** Fields that the hook for heads has set. */
  readonly fields: Fields;
  /** Who calls, as far as that was asked. */
  readonly found: Identity | Refusal | undefined;
  /** The end of a call. */
  readonly outcome: Outcome | undefined;
  /** What was changed about the call that reached the upstream; undefined when none did. */
  readonly reached: Changes | undefined;
}
