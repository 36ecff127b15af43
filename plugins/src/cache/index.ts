/**
 * Keeps answers: lists, contents of resources, prompts and results of tools that only read. Keyed by everything that an
 * answer may hang on, for as long as the server or the operator says, and until the server says that something changed.
 */
import {
  definePlugin,
  durationMs,
  type JsonObject,
  type MaybePromise,
  type Outcome,
  type PluginHost,
} from '@sluice/sdk';
import { Answers, type Asked } from './answers.js';
import { Changes, type Subject } from './changes.js';
import { type CacheConfig, Config, compileRules, configProblems, type Rule } from './config.js';
import { KeptAnswers } from './kept-answers.js';
import { ReadOnlyTools } from './read-only-tools.js';
import { connectRedis } from './redis-port.js';
import { type CacheRequest, type Ctx, readRequest } from './request-key.js';
import { SecondLevel } from './second-level.js';

export default definePlugin({
  name: 'cache',
  version: '1.0.0',
  description: 'Keeps lists, resources, prompts and results of tools that only read.',
  phase: 'cache',
  config: Config,
  reads: [
    'client',
    'endpoint',
    'headers',
    'method',
    'paramsJson',
    'principal.id',
    'revision',
    'session',
    'signal',
    'target',
    'targetOf',
    'view',
  ],
  changes: ['result'],
  check: configProblems,

  hooks(config, host) {
    const rules = compileRules(config);
    const changes = new Changes();
    const tools = new ReadOnlyTools();
    const kept = new KeptAnswers(
      {
        maxBytes: config.max_bytes,
        maxEntryCount: config.max_entries,
        maxWatchedCount: config.max_watched,
        staleMs: durationMs(config.stale_while_revalidate),
      },
      changes,
      host,
    );
    const second = secondLevel(config, host);
    const answers = new Answers({
      kept,
      changes,
      clock: host.clock,
      metrics: host.metrics,
      maxEntryBytes: config.max_entry_bytes,
      second,
    });

    function ruleOf({ method, target }: Ctx): Rule | undefined {
      const list = rules.lists.get(method);
      if (list !== undefined || target === undefined) return list;
      switch (method) {
        case 'tools/call':
          return rules.tools.find(
            (rule) => rule.matches(target) && (!rule.isAnnotatedOnly || tools.has(target)),
          );
        case 'resources/read':
          return rules.resources.find((rule) => rule.matches(target));
        case 'prompts/get':
          return rules.prompts.find((rule) => rule.matches(target));
        default:
          return undefined;
      }
    }

    return {
      exchange(ctx: Ctx, next): MaybePromise<Outcome> {
        const rule = ruleOf(ctx);
        const request = rule === undefined ? undefined : readRequest(ctx);
        if (rule === undefined || request === undefined) return next();
        return answers.answer(new AskedHere(request, rule, ctx, tools), next);
      },

      entries({ method }, entries) {
        if (method === 'tools/list') tools.learn(entries);
        return entries;
      },

      changed(change) {
        changes.happened(change);
        second?.changed(change);
        if (change.kind === 'tools') tools.forget(change.upstream);
      },

      shutdown() {
        kept.clear();
        second?.close();
      },
    };
  },
});

class AskedHere implements Asked {
  readonly subject: Subject;

  constructor(
    readonly request: CacheRequest,
    readonly rule: Rule,
    private readonly ctx: Ctx,
    private readonly tools: ReadOnlyTools,
  ) {
    this.subject = subjectOf(request);
  }

  get signal(): AbortSignal {
    return this.ctx.signal;
  }

  learn(result: JsonObject | undefined): void {
    const { targetOf } = this.ctx;
    for (const entry of (result?.tools ?? []) as readonly JsonObject[]) {
      const target = targetOf(entry);
      if (target !== undefined) this.tools.learn([{ target, entry }]);
    }
  }
}

function secondLevel({ redis, max_entry_bytes: maxEntryBytes }: CacheConfig, host: PluginHost) {
  if (redis === undefined) return undefined;
  const { url, key: secret, prefix, timeout } = redis;
  const port = connectRedis(url, durationMs(timeout));
  return new SecondLevel({ redis: port, secret, prefix, maxEntryBytes }, host);
}

/** A list may be one of several upstreams together, so it hangs on all of them. */
function subjectOf({ method, target }: CacheRequest): Subject {
  const kind = method.startsWith('tools/')
    ? 'tools'
    : method.startsWith('prompts/')
      ? 'prompts'
      : 'resources';
  if (target === undefined) return { kind };
  const { upstream, name } = target;
  return { kind, upstream, uri: kind === 'resources' ? name : undefined };
}
