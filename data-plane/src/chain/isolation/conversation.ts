/** One end of the talk with a plugin that runs elsewhere: the runs that are under way there, and what it asks for. */

import { type PluginHost, RequestFailure } from '@sluice/sdk';
import { Refusal } from '@sluice/sdk/engine';
import {
  type FromPlugin,
  messageOf,
  type RunAnswer,
  readChanges,
  readRemarks,
  type ToPlugin,
  wireOutcome,
} from '@sluice/sdk/isolation';
import type { IsolationLimits } from './limits.js';
import type { RunSide } from './runner.js';
import { Services } from './services.js';

/** What a plugin may log, count and ask for in each run, beyond what it may in any case. */
const MESSAGES_PER_RUN_COUNT = 10;

interface Run {
  readonly side: RunSide;
  readonly resolve: (value: unknown) => void;
  /** With an Error, or a Refusal. */
  readonly reject: (reason: unknown) => void;
  leftMs: number;
  /** When its time began to run; undefined while it waits behind `next()`. */
  sinceMs: number | undefined;
  timer: NodeJS.Timeout | undefined;
  /** It called `next()`. */
  hasGoneOn: boolean;
}

/** Sends a message to where the plugin runs. Throws when it is too large. */
export type Post = (message: ToPlugin) => void;

export class Conversation {
  private readonly runs = new Map<number, Run>();
  private readonly services: Services;
  private secondOf = 0;
  private messageCount = 0;

  constructor(
    private readonly limits: IsolationLimits,
    host: Promise<PluginHost>,
    /** A run does not end by itself; whoever has it has to stop it. */
    private readonly overdue: (reason: string, run: number) => void,
  ) {
    this.services = new Services(host);
  }

  /** Settles with what the plugin answers; the order itself is sent by whoever calls. */
  begin(run: number, side: RunSide): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const own: Run = {
        side,
        resolve,
        reject,
        leftMs: this.limits.hookTimeMs,
        sinceMs: undefined,
        timer: undefined,
        hasGoneOn: false,
      };
      this.runs.set(run, own);
      this.resume(run, own);
    });
  }

  /** Takes what the plugin sent, and answers where it came from. Throws for what cannot be taken. */
  receive(message: FromPlugin, post: Post): void {
    this.count(message);
    switch (message.type) {
      case 'done':
        this.done(message.run, message.answer);
        return;
      case 'failed':
        this.take(message.run)?.reject(new Error(String(message.message)));
        return;
      case 'next':
        void this.goOn(message.run, message.changes, post);
        return;
      case 'log':
      case 'measure':
      case 'serve':
        void this.services.take(message, post);
        return;
      default:
        throw new TypeError('it sent what is no message');
    }
  }

  /** Nothing comes any more: all that is under way fails. */
  fail(reason: string): void {
    for (const run of [...this.runs.keys()]) this.failRun(run, reason);
  }

  private done(run: number, answer: RunAnswer): void {
    const own = this.take(run);
    if (own === undefined) return;
    try {
      for (const remark of readRemarks(answer)) own.side.remark?.(remark);
      if (answer.failure === undefined) own.resolve(answer.value);
      else own.reject(new RequestFailure(String(answer.failure)));
    } catch (thrown) {
      own.reject(thrown);
    }
  }

  failRun(run: number, reason: string): void {
    this.take(run)?.reject(new Error(reason));
  }

  private async goOn(id: number, changes: unknown, post: Post): Promise<void> {
    const run = this.runs.get(id);
    // Its time is over already, or it never was.
    const next = run?.side.next;
    if (run === undefined || next === undefined || run.sinceMs === undefined) return;
    run.hasGoneOn = true;
    this.pause(run);
    let answer: ToPlugin;
    try {
      const outcome = wireOutcome(await next(readChanges(changes)));
      answer = { type: 'came', run: id, outcome };
    } catch (thrown) {
      answer = { type: 'notNext', run: id, message: messageOf(thrown) };
    }
    if (this.runs.get(id) !== run) return;
    this.resume(id, run);
    try {
      post(answer);
    } catch (thrown) {
      this.take(id)?.reject(thrown);
    }
  }

  private resume(id: number, run: Run): void {
    run.sinceMs = performance.now();
    run.timer = setTimeout(
      () => this.overdue(`a hook took longer than ${this.limits.hookTimeMs} ms`, id),
      run.leftMs,
    );
  }

  private pause(run: Run): void {
    clearTimeout(run.timer);
    run.leftMs = Math.max(1, run.leftMs - (performance.now() - (run.sinceMs ?? 0)));
    run.sinceMs = undefined;
  }

  private take(id: number): Run | undefined {
    const run = this.runs.get(id);
    if (run === undefined) return undefined;
    this.runs.delete(id);
    clearTimeout(run.timer);
    return run;
  }

  /** A run calls `next()` once and ends once, whatever the load; only what comes beside that can be too much. */
  private count(message: FromPlugin): void {
    const second = Math.floor(performance.now() / 1_000);
    if (second !== this.secondOf) {
      this.secondOf = second;
      this.messageCount = 0;
    }
    if (this.isDue(message)) {
      this.messageCount -= MESSAGES_PER_RUN_COUNT;
      return;
    }
    const { maxMessagesPerSecondCount } = this.limits;
    if (++this.messageCount > maxMessagesPerSecondCount)
      throw new RangeError(`it sent more than ${maxMessagesPerSecondCount} messages in a second`);
  }

  private isDue(message: FromPlugin): boolean {
    const run = 'run' in message ? this.runs.get(message.run) : undefined;
    if (run === undefined) return false;
    return message.type !== 'next' || !run.hasGoneOn;
  }
}

/** What is thrown where there is too much to do already. */
export function tooMuch(binding: string): Refusal {
  return new Refusal('limited', `plugin ${binding} has too much to do; try again in a while`, {
    headers: [['Retry-After', '1']],
  });
}

/** Not passed by a plugin that never saw it, even where failures are allowed. */
export function tooLarge(binding: string, maxBytes: number): Refusal {
  return new Refusal('tooLarge', `larger than the ${maxBytes} bytes that plugin ${binding} is given`);
}
