/** What the gateway and a plugin that runs elsewhere say to each other. All of it is JSON. */
import type { Json, JsonObject } from '../identity.js';
import type { ListEntry, PageRequest } from '../plugin.js';
import type { Remark } from '../remarks.js';
import type { WireOutcome } from './wire.js';

/** The hooks that can wait, and so can run elsewhere. */
export const ISOLABLE_HOOKS = [
  'identify',
  'decide',
  'exchange',
  'outcome',
  'entries',
  'sessionStart',
  'sessionEnd',
  'page',
] as const;
export type IsolableHook = (typeof ISOLABLE_HOOKS)[number];

/** Which plugin, and with what configuration. */
export interface LoadOrder {
  /** URL of the module. */
  readonly module: string;
  /** Its name, where the module is the one of the plugins that come with the gateway. */
  readonly builtIn?: string | undefined;
  readonly binding: string;
  readonly config: unknown;
}

/** What a plugin says about itself once it has been loaded. */
export interface LoadedFacts {
  readonly name: string;
  readonly version: string;
  readonly reads: readonly string[];
  readonly hooks: readonly IsolableHook[];
  readonly challenge?: string | undefined;
}

/** One call of a hook. */
export interface RunOrder {
  readonly run: number;
  readonly hook: IsolableHook;
  /** The declared attributes. */
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  /** True where only those count that are known before it is known who calls. */
  readonly early?: boolean | undefined;
  readonly outcome?: WireOutcome | undefined;
  readonly entries?: readonly ListEntry[] | undefined;
  readonly session?: string | undefined;
  readonly request?: PageRequest | undefined;
}

/** What a hook came to. */
export interface RunAnswer {
  readonly value?: unknown;
  /** Of a `RequestFailure` that it threw. */
  readonly failure?: string | undefined;
  /** What it said beside; absent when that is nothing. */
  readonly remarks?: readonly Remark[] | undefined;
}

export type Service = 'get' | 'set' | 'delete' | 'keys' | 'units' | 'fetch';
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type ToPlugin =
  | { readonly type: 'load'; readonly order: LoadOrder }
  | { readonly type: 'run'; readonly order: RunOrder }
  /** What `next()` came to. */
  | { readonly type: 'came'; readonly run: number; readonly outcome: WireOutcome }
  | { readonly type: 'notNext'; readonly run: number; readonly message: string }
  | { readonly type: 'served'; readonly call: number; readonly value?: unknown }
  | { readonly type: 'notServed'; readonly call: number; readonly message: string }
  /** Answered at once by whoever is not busy. */
  | { readonly type: 'ping' }
  /** Its time is over: the thread that has it ends. */
  | { readonly type: 'stop'; readonly run: number }
  | { readonly type: 'shutdown' };

export type FromPlugin =
  | { readonly type: 'loaded'; readonly facts: LoadedFacts }
  | { readonly type: 'notLoaded'; readonly message: string }
  | { readonly type: 'done'; readonly run: number; readonly answer: RunAnswer }
  | { readonly type: 'failed'; readonly run: number; readonly message: string }
  /** The hook called `next()`. */
  | { readonly type: 'next'; readonly run: number; readonly changes?: WireChanges | undefined }
  | {
      readonly type: 'serve';
      readonly call: number;
      readonly service: Service;
      readonly given: readonly unknown[];
    }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly fields: JsonObject;
      readonly message: string;
    }
  | {
      readonly type: 'measure';
      readonly kind: 'count' | 'observe' | 'gauge';
      readonly name: string;
      readonly help: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly value: number;
    }
  | { readonly type: 'pong' }
  | { readonly type: 'ended' };

/** As `Changes`, with null for a header field that is taken away. */
export interface WireChanges {
  readonly arguments?: JsonObject | undefined;
  readonly headers?: Readonly<Record<string, Json>> | undefined;
}
