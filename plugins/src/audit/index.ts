/**
 * Records every exchange, and every caller who was refused, in a file whose records are chained and signed. A worker
 * notes what happened; what is made of that, and writing it, is the work of another thread.
 */
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import {
  type Attribute,
  type ConfigProblem,
  definePlugin,
  durationMs,
  type Identity,
  type MaybePromise,
  type Outcome,
  type PluginRecords,
  Refusal,
  type Remarked,
  sizeBytes,
  type Target,
} from '@sluice/sdk';
import { NODE_SECRET_BYTES, nodeSecret } from '../redaction/index.js';
import { Config, configProblems, deniesWhenFull } from './config.js';
import type { Noted, NotedText } from './noted.js';
import { RecordQueue } from './record-queue.js';
import { keyFileOf } from './signing-key.js';
import type { WriterOptions } from './writer.js';
import { WriterLink } from './writer-link.js';

/** How long an answer waits for its record, where none may be lost. */
const MAX_WAIT_MS = 10_000;
const INTERNAL_ERROR = -32_603;
/** Of a request that names many. */
const MAX_TARGET_COUNT = 100;

const UNWRITABLE = new Refusal(
  'failed',
  'nothing passes while the audit log cannot be written; the call did not run, try again in a while',
  { headers: [['Retry-After', '5']] },
);
const UNRECORDED = new Refusal(
  'failed',
  'the call may have run, and its answer is held back because the audit log cannot be written',
);

const EARLY_READS: readonly Attribute[] = ['endpoint', 'headers.traceparent', 'transport'];
const READS: readonly Attribute[] = [
  ...EARLY_READS,
  'client',
  'method',
  'paramsJson',
  'principal',
  'remarks',
  'revision',
  'session',
  'signal',
  'targets',
];

/** What is known before it is known who calls. */
interface EarlyCtx {
  readonly endpoint: string;
  readonly headers: { readonly traceparent?: string | undefined };
  readonly transport: string;
  readonly address: string;
}

interface Ctx extends EarlyCtx {
  readonly client: { readonly name?: string | undefined; readonly version?: string | undefined };
  readonly method: string;
  readonly paramsJson: string;
  readonly principal: Identity;
  readonly remarks: readonly Remarked[];
  readonly revision: string;
  readonly session: string | undefined;
  readonly signal: AbortSignal;
  readonly targets: readonly Target[];
}

export default definePlugin({
  name: 'audit',
  version: '1.0.0',
  description:
    'Records every exchange in a file whose records are chained and signed, so that a changed or missing one is found.',
  phase: 'record',
  config: Config,
  reads: ({ address }) => (address ? [...READS, 'address'] : READS),
  changes: [],
  sharedBytes: () => NODE_SECRET_BYTES,
  check: (config): ConfigProblem[] => configProblems(config),

  hooks(config, host) {
    const { clock } = host;
    const isWaitedFor = config.durability === 'none_lost';
    const isDenying = deniesWhenFull(config);
    const maxParamsLength = sizeBytes(config.max_arguments);
    const withAddress = config.address;
    const claimsOf = config.claims.length === 0 ? undefined : compileClaims(config.claims);
    const queue = new RecordQueue({
      open: (events) =>
        new WriterLink(
          () => writerOptions(config, nodeSecret(host.shared)),
          events,
          host.records && ((batch) => (host.records as PluginRecords).send(batch)),
        ),
      clock,
      log: host.log,
      metrics: host.metrics,
      flushMs: durationMs(config.flush_interval),
      maxRecordCount: config.queue_records,
      isWaitedFor,
    });
    const idBegin = randomBytes(9).toString('base64url');
    let count = 0;
    const nextId = () => `${idBegin}-${(count++).toString(36)}`;

    function note(ctx: Ctx, beganMs: number, outcome: Outcome): boolean {
      const { principal, client, targets, remarks } = ctx;
      const { refusal } = outcome;
      const params = ctx.paramsJson;
      const noted: Noted = [
        nextId(),
        beganMs,
        'exchange',
        ctx.headers.traceparent,
        ctx.endpoint,
        ctx.transport,
        ctx.method,
        ctx.revision,
        ctx.session,
        principal.id,
        principal.tenant,
        principal.consumer,
        client.name,
        client.version,
        withAddress ? ctx.address : undefined,
        principal.scopes.length === 0 ? undefined : principal.scopes,
        claimsOf === undefined ? undefined : claimsOf(principal),
        targets.slice(0, MAX_TARGET_COUNT).map(({ kind, upstream, name }) => [kind, upstream, name] as const),
        sizeOf(outcome),
        clock.now() - beganMs,
        kindOf(ctx, outcome, remarks),
        outcome.errorCode,
        refusal?.by,
        // An upstream's own words may hold anything.
        refusal?.message,
        remarks.length === 0 ? undefined : remarks,
        params.length,
      ];
      return queue.add([textOf(noted), params.length > maxParamsLength ? '' : params]);
    }

    function noteRefused(ctx: EarlyCtx, refusal: Refusal): boolean {
      const noted: Noted = [
        nextId(),
        clock.now(),
        'refused',
        ctx.headers.traceparent,
        ctx.endpoint,
        ctx.transport,
        '',
        '',
        undefined,
        undefined,
        undefined,
        undefined,
        undefined,
        undefined,
        withAddress ? ctx.address : undefined,
        undefined,
        undefined,
        [],
        0,
        0,
        'refused',
        refusal.code,
        refusal.by,
        refusal.message,
        undefined,
        0,
      ];
      return queue.add([JSON.stringify(noted), ''] satisfies NotedText);
    }

    /** The answer, once its record is where it has to be; never, where there was no room to hold it. */
    function recorded<T>(answer: T, isHeld: boolean): MaybePromise<T | Refusal> {
      if (!isWaitedFor) return answer;
      if (!isHeld) return UNRECORDED;
      return new Promise((resolve) => {
        const stop = clock.after(MAX_WAIT_MS, () => resolve(UNRECORDED));
        void queue.settled().then(() => {
          stop();
          resolve(answer);
        });
      });
    }

    return {
      admission(ctx: EarlyCtx, next) {
        const found = next();
        if (!(found instanceof Promise)) return admitted(ctx, found);
        return found.then((one) => admitted(ctx, one));
      },

      refused(ctx: EarlyCtx, refusal) {
        noteRefused(ctx, refusal);
      },

      exchange(ctx: Ctx, next) {
        if (isDenying && queue.trouble !== undefined) return UNWRITABLE;
        const beganMs = clock.now();
        const ended = (outcome: Outcome) => {
          // It is recorded by whoever answers it.
          if (outcome.isHandedOver) return outcome;
          return recorded(outcome, note(ctx, beganMs, outcome));
        };
        const came = next();
        return came instanceof Promise ? came.then(ended) : ended(came);
      },

      shutdown: () => queue.end(),
    };

    function admitted(ctx: EarlyCtx, found: Identity | Refusal): MaybePromise<Identity | Refusal> {
      if (!(found instanceof Refusal)) return found;
      return recorded(found, noteRefused(ctx, found));
    }
  },
});

function kindOf(ctx: Ctx, outcome: Outcome, remarks: readonly Remarked[]): Noted[20] {
  if (outcome.refusal !== undefined) return 'refused';
  if (outcome.errorCode === 0) return asksForInput(outcome) ? 'input_required' : 'ok';
  // What refuses the beginning of a session ends as an error.
  if (remarks.some(({ kind, isEnforced }) => kind === 'deny' && isEnforced !== false)) return 'refused';
  return outcome.errorCode === INTERNAL_ERROR && ctx.signal.aborted ? 'cancelled' : 'error';
}

/** What others have remarked may be no JSON; an exchange is recorded nevertheless. */
function textOf(noted: Noted): string {
  try {
    return JSON.stringify(noted);
  } catch {
    return JSON.stringify(noted.with(-2, [{ kind: 'flagged', by: 'audit', rule: 'remarks-unreadable' }]));
  }
}

/** Those of a principal that have these names. */
function compileClaims(
  names: readonly string[],
): (principal: Identity) => Record<string, unknown> | undefined {
  return ({ claims }) => {
    const found = names.filter((name) => Object.hasOwn(claims, name));
    return found.length === 0 ? undefined : Object.fromEntries(found.map((name) => [name, claims[name]]));
  };
}

/** Larger results are no questions; to read one for its kind would cost more than all else here. */
const MAX_QUESTION_BYTES = 262_144;
const INPUT_REQUIRED = '"input_required"';

function asksForInput(outcome: Outcome): boolean {
  const { bytes } = outcome;
  if (bytes === undefined) return outcome.kind === 'input_required';
  if (bytes.byteLength > MAX_QUESTION_BYTES) return false;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return text.includes(INPUT_REQUIRED) && outcome.kind === 'input_required';
}

/** Of the result or error as it stands in the response. */
function sizeOf(outcome: Outcome): number {
  if (outcome.bytes !== undefined) return outcome.bytes.byteLength;
  const { resultJson } = outcome;
  return resultJson === undefined ? 0 : Buffer.byteLength(resultJson);
}

function writerOptions(config: Config, secret: Uint8Array): WriterOptions {
  const { retention = {}, redaction } = config;
  const file = resolve(config.file ?? '');
  return {
    isFile: config.to === 'file',
    file,
    keyFile: config.signing_key === undefined ? keyFileOf(file) : resolve(config.signing_key),
    checkpoint: {
      recordCount: config.checkpoint_records,
      intervalMs: durationMs(config.checkpoint_interval),
    },
    shaping: {
      keeps: config.arguments,
      redaction,
      secret,
    },
    retention: {
      maxAgeMs: retention.max_age === undefined ? undefined : durationMs(retention.max_age),
      maxBytes:
        retention.max_size === undefined ? undefined : sizeBytes(retention.max_size, Number.MAX_SAFE_INTEGER),
    },
  };
}
