/** OPA as rules of `policy`: asked where no rule of the configuration says anything. */
import { durationMs, type MaybePromise, type PluginHost } from '@sluice/sdk';
import { WITHOUT_TARGET } from '../../method-targets.js';
import type { DecisionPoint, Prospect, Question, Verdict } from '../decision-point.js';
import type { OpaConfig } from './config.js';
import { KeptDecisions } from './decisions.js';
import { OpaInput } from './input.js';
import { RestOpa } from './rest.js';
import { OPA_RULE, OpaFailure, verdictOf } from './result.js';
import { WasmOpa } from './wasm.js';

/** Failures are counted, and told of now and then. */
const TOLD_EVERY_MS = 10_000;

const NOT_PERMITTED: Verdict = { outcome: 'deny', rule: OPA_RULE, isEnforced: true, isError: true };

interface Opa {
  evaluate(input: string): Promise<unknown>;
  close(): MaybePromise<void>;
}

/** What of a plugin's host it needs. */
export type OpaHost = Pick<PluginHost, 'clock' | 'fetch' | 'log' | 'metrics'>;

interface Running {
  readonly opa: Opa;
  readonly kept: KeptDecisions;
  readonly host: OpaHost;
}

export class OpaRules implements DecisionPoint {
  readonly reads: readonly string[];
  readonly paths: readonly string[];
  /** What is denied, and whether a person is asked, is for OPA to say. */
  readonly waits = true;
  readonly asks = true;
  private readonly input: OpaInput;
  private running: Running | undefined;
  private toldAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly config: OpaConfig) {
    this.input = new OpaInput(config.input);
    this.reads = this.input.reads;
    this.paths = this.input.paths;
  }

  /** To be called before anything is asked. @throws Error when the policy cannot be used. */
  start(host: OpaHost): void {
    const { wasm, rest, cache } = this.config;
    const kept = new KeptDecisions(durationMs(cache.ttl), cache.max_entries);
    if (wasm !== undefined) this.running = { opa: new WasmOpa(wasm, host.clock), kept, host };
    else if (rest !== undefined)
      this.running = { opa: new RestOpa(rest, host.fetch, host.clock), kept, host };
  }

  decide(question: Question): MaybePromise<Verdict | undefined> {
    // What belongs to the protocol, and is about nothing, is not asked about.
    if (question.target === undefined && WITHOUT_TARGET.has(question.method)) return undefined;
    return this.ask(question);
  }

  foresee(question: Question): MaybePromise<Prospect> {
    if (this.config.lists === 'show') return { mayPass: true, mayFail: true, mayGoOn: false };
    const said = this.ask(question);
    return said instanceof Promise ? said.then(prospectOf) : prospectOf(said);
  }

  close(): MaybePromise<void> {
    return this.running?.opa.close();
  }

  private ask(question: Question): MaybePromise<Verdict> {
    const { running } = this;
    if (running === undefined) throw new Error('OPA is asked before it was started');
    const { opa, kept, host } = running;
    try {
      const input = this.input.of(question);
      const said = kept.get(input, host.clock.now(), async () => verdictOf(await opa.evaluate(input)));
      if (!(said instanceof Promise)) {
        count(host, 'kept');
        return said;
      }
      return said.then(
        (verdict) => {
          count(host, 'asked');
          return verdict;
        },
        (thrown: unknown) => this.failed(host, thrown),
      );
    } catch (thrown) {
      return this.failed(host, thrown);
    }
  }

  /** What is too long to ask about is denied, as what is no permit; for what failed the binding says what it means. */
  private failed(host: OpaHost, thrown: unknown): Verdict {
    const kind = thrown instanceof OpaFailure ? thrown.kind : 'failed';
    count(host, kind);
    const now = host.clock.now();
    if (now - this.toldAt >= TOLD_EVERY_MS) {
      this.toldAt = now;
      host.log.warn({ err: thrown }, 'OPA could not be asked, or gave no decision');
    }
    return kind === 'input' || kind === 'decision' ? NOT_PERMITTED : { ...NOT_PERMITTED, failure: thrown };
  }
}

function count({ metrics }: OpaHost, how: string): void {
  metrics.count('opa_total', 'What OPA was to decide, by how that went.', { how });
}

function prospectOf({ outcome, failure }: Verdict): Prospect {
  return { mayPass: outcome !== 'deny', mayFail: outcome === 'deny', mayGoOn: false, failure };
}
