/**
 * Stands between callers and servers: calls that do something dangerous are refused by rules, and from what servers
 * send secrets, characters that nobody sees and instructions to the model are taken, as far as the configuration says.
 */
import {
  definePlugin,
  type InputRequest,
  type JsonObject,
  type ListEntry,
  type MaybePromise,
  type Notification,
  Outcome,
  type OutcomeError,
  Refusal,
  type View,
} from '@sluice/sdk';
import { offLoop } from '../matching/index.js';
import { compilePatterns } from '../patterns.js';
import { DETECTORS, NODE_SECRET_BYTES, nodeSecret } from '../redaction/index.js';
import { Answers } from './answers.js';
import { Config, configProblems } from './config.js';
import { hasInvisible } from './invisible.js';
import { KnownEntries } from './known-entries.js';
import { Notifications } from './notifications.js';
import type { Report } from './report.js';
import { type Asked, type Hit, RequestRules } from './request-rules.js';
import { teller } from './telling.js';
import {
  type ErrorTask,
  guardedError,
  guardedResult,
  type RequestTask,
  type ResultTask,
  type ThreadAnswer,
} from './thread.js';

/** Longer ones are gone through in a thread. Of this many bytes it takes 4 ms. */
const MAX_AT_ONCE_BYTES = 65_536;
/** Of these the arguments are looked at; of others all parameters. */
const METHODS_WITH_ARGUMENTS: ReadonlySet<string> = new Set(['tools/call', 'prompts/get']);
const LISTS: ReadonlySet<string> = new Set([
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
]);
const OWN_SCHEME = /^file:\/{1,3}/i;
const PROGRAM = new URL('../../dist/guard/thread.js', import.meta.url);
/** In what servers ask people for, an address is no secret; a key is. */
const SECRET_IDS: ReadonlySet<string> = new Set(
  DETECTORS.filter(({ kind }) => kind === 'secret').map(({ id }) => id),
);
const READS = [
  'arguments',
  'method',
  'params',
  'paramsJson',
  'remark',
  'session',
  'signal',
  'targets',
] as const;
type Ctx = View<(typeof READS)[number]>;

export default definePlugin({
  name: 'guard',
  version: '1.0.0',
  description:
    'Refuses dangerous calls, and takes secrets, hidden characters and instructions out of answers.',
  phase: 'shape',
  config: Config,
  reads: READS,
  changes: ['entries', 'notifications', 'result'],
  sharedBytes: () => NODE_SECRET_BYTES,
  check: configProblems,

  hooks(config, host) {
    const random = nodeSecret(host.shared);
    const {
      mode,
      sets,
      rules: ownRules,
      redaction,
      max_result_bytes,
      oversize,
      invisible,
      instructions,
    } = config;
    const answersConfig = { mode, redaction, max_result_bytes, oversize, invisible, instructions };
    const isEnforced = mode === 'enforce';
    const rules = new RequestRules(config);
    const answers = new Answers(answersConfig, random);
    const notifications = new Notifications(answers.redactor, invisible === 'strip');
    const known = new KnownEntries(answers);
    const isTrusted = compilePatterns(config.trusted);
    const isAllTrusted = ({ targets }: Pick<Ctx, 'targets'>) =>
      targets.length > 0 && targets.every(isTrusted);
    const tell = teller(host, isEnforced);

    function exchange(ctx: Ctx, next: () => MaybePromise<Outcome>): MaybePromise<Outcome | Refusal> {
      if (LISTS.has(ctx.method)) return next();
      if (invisible !== 'keep' && ctx.targets.some(({ name }) => hasInvisible(name))) {
        tell.hit(ctx, INVISIBLE_NAME);
        if (isEnforced) return refusal(INVISIBLE_NAME);
      }
      const asked = askedBy(ctx);
      const hits =
        asked.paramsJson.length <= MAX_AT_ONCE_BYTES
          ? rules.hits(asked)
          : offLoop<readonly Hit[]>(PROGRAM, 'requestHits', {
              config: { sets, rules: ownRules },
              asked,
            } satisfies RequestTask);
      return hits instanceof Promise ? hits.then((own) => judged(ctx, own, next)) : judged(ctx, hits, next);
    }

    function judged(
      ctx: Ctx,
      hits: readonly Hit[],
      next: () => MaybePromise<Outcome>,
    ): MaybePromise<Outcome | Refusal> {
      for (const hit of hits) tell.hit(ctx, hit);
      const [first] = hits;
      return isEnforced && first?.action === 'deny' ? refusal(first) : next();
    }

    function outcome(ctx: Ctx, came: Outcome): MaybePromise<Outcome | Refusal> {
      if (came.refusal !== undefined || LISTS.has(ctx.method) || isAllTrusted(ctx)) return came;
      return came.errorCode === 0 ? result(ctx, came) : failure(ctx, came);
    }

    function result(ctx: Ctx, came: Outcome): MaybePromise<Outcome | Refusal> {
      const json = came.resultJson as string;
      if (json.length > MAX_AT_ONCE_BYTES) {
        const task: ResultTask = { config: answersConfig, random, json };
        return inThread('guardedResult', task, () => guardedResult(task)).then(({ json: own, report }) => {
          const denied = tell.answer(ctx, report);
          if (denied !== undefined) return denied;
          return own === undefined || !isEnforced
            ? came
            : Outcome.ofResultJson(own).withHeaders(came.headers);
        });
      }
      const before = came.result as JsonObject;
      const { value, report } = answers.result(before, json);
      const denied = tell.answer(ctx, report);
      if (denied !== undefined) return denied;
      return value === before || !isEnforced ? came : came.withResult(value);
    }

    function failure(ctx: Ctx, came: Outcome): MaybePromise<Outcome | Refusal> {
      const before = came.error as OutcomeError;
      const bytes = came.bytes?.length ?? before.message.length;
      const done = (own: OutcomeError, report: Report) => {
        const denied = tell.answer(ctx, report);
        if (denied !== undefined) return denied;
        return own === before || !isEnforced ? came : Outcome.ofError(own).withHeaders(came.headers);
      };
      if (bytes > MAX_AT_ONCE_BYTES) {
        const task: ErrorTask = { config: answersConfig, random, error: before };
        return inThread('guardedError', task, () => guardedError(task)).then(({ json, report }) =>
          done(json === undefined ? before : (JSON.parse(json) as OutcomeError), report),
        );
      }
      const { value, report } = answers.error(before);
      return done(value, report);
    }

    function entries(ctx: Ctx, list: readonly ListEntry[]): readonly ListEntry[] {
      return list.flatMap((each) => {
        const { target, entry } = each;
        const blocked = rules.blocked(target);
        if (blocked !== undefined) return isEnforced ? [] : [each];
        if (isTrusted(target)) return [each];
        if (invisible !== 'keep' && hasInvisible(target.name)) {
          tell.hit(ctx, INVISIBLE_NAME);
          return isEnforced ? [] : [each];
        }
        const { value, report, isNew } = known.of(entry);
        const denied = tell.answer(ctx, report, { target, isNew });
        if (!isEnforced) return [each];
        if (denied !== undefined) return [];
        return value === entry ? [each] : [{ target, entry: value }];
      });
    }

    function notification(ctx: Ctx, sent: Notification): JsonObject | 'drop' | undefined {
      if (sent.direction === 'to upstream' || isAllTrusted(ctx)) return undefined;
      const found: string[] = [];
      const own = notifications.passed(sent, ctx, (id) => found.push(id));
      for (const id of found) tell.redacted(id);
      if (own === 'drop') tell.dropped(sent.method);
      return own === sent.params || !isEnforced ? undefined : own;
    }

    function input(ctx: Ctx, { params }: InputRequest): Refusal | undefined {
      if (isAllTrusted(ctx)) return undefined;
      const report = answers.look(params);
      const id = Object.keys(report.redacted).find((each) => SECRET_IDS.has(each));
      if (id !== undefined)
        report.denied ??= { rule: id, reason: `it asks a person with a secret in it (${id})` };
      // Nothing is replaced in a question.
      return tell.answer(ctx, { ...report, redacted: {}, invisible: 0 });
    }

    return {
      exchange,
      outcome,
      entries,
      notification,
      input,
      sessionEnd: (session: string) => notifications.forget(session),
    };
  },
});

const INVISIBLE_NAME: Hit = {
  id: 'invisible-name',
  reason: 'its name holds characters that nobody sees',
  action: 'deny',
};

function askedBy({ method, params, paramsJson, targets, arguments: own }: Ctx): Asked {
  if (METHODS_WITH_ARGUMENTS.has(method)) return { method, targets, value: own, params, paramsJson };
  const { _meta, ...value } = params;
  // A server's own resources are called by whatever scheme it likes; what counts is to where they lead.
  if (method.startsWith('resources/') && typeof value.uri === 'string')
    return {
      method,
      targets,
      value: { ...value, uri: value.uri.replace(OWN_SCHEME, '/') },
      params,
      paramsJson,
    };
  return { method, targets, value, params, paramsJson };
}

/**
 * Here when too many wait for a thread: what has run is not refused for that, as it would be called again.
 *
 * @param here does the same.
 */
function inThread(
  name: string,
  task: ResultTask | ErrorTask,
  here: () => ThreadAnswer,
): Promise<ThreadAnswer> {
  return offLoop<ThreadAnswer>(PROGRAM, name, task).catch((error: unknown) => {
    if (error instanceof Refusal) return here();
    throw error;
  });
}

function refusal({ id, reason }: Hit): Refusal {
  return new Refusal('forbidden', `the call is not let through: ${reason} (rule ${id})`, {
    data: { rule: id },
  });
}
