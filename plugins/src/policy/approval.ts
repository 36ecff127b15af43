/** Has a person approve a use before it goes on: with a form, or on a page of the operator's that is then asked. */
import { createHash } from 'node:crypto';
import {
  type Attributes,
  type Json,
  Outcome,
  type PluginHost,
  Refusal,
  type Remark,
  type Target,
} from '@sluice/sdk';
import type { Asking, Verdict } from './decision-point.js';

/** Longer than an answer counts: each counts once. */
const USED_UP_MS = 3_600_000;
const PAGE_WAIT_MS = 60_000;
const PAGE_INTERVAL_MS = 2_000;
/** Stands in URLs for what names this very use. */
const PLACE_OF_ID = '{id}';

export interface ApprovalCtx {
  readonly ask: Attributes['ask'];
  readonly arguments: Attributes['arguments'];
  readonly principal: { readonly id: string };
  readonly target: Target | undefined;
  readonly remark: (remark: Remark) => void;
  readonly signal: AbortSignal;
}

/** What an approval has to be read for. */
export const APPROVAL_READS = ['arguments', 'ask', 'principal.id', 'remark', 'signal', 'target'];

/**
 * Undefined once a person has approved. An {@link Outcome} is for the client, which comes again with the answer.
 *
 * @throws Refusal when the client cannot be asked
 */
export async function approved(
  ctx: ApprovalCtx,
  { rule, reason, ask }: Verdict,
  host: PluginHost,
): Promise<Outcome | Refusal | undefined> {
  const { message, schema, url, confirmUrl } = ask as Asking;
  const id = idOf(ctx, rule);
  const page = url?.replaceAll(PLACE_OF_ID, id);
  let said: Awaited<ReturnType<ApprovalCtx['ask']>>;
  try {
    said = await ctx.ask({ key: rule, message, schema, url: page });
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const { kind, message: why, details } = thrown;
    ctx.remark({ kind: 'deny', rule, reason: why });
    throw new Refusal(kind, why, { ...details, data: { error: 'policy_unaskable', rule } });
  }
  if (said instanceof Outcome) {
    ctx.remark({ kind: 'ask', rule });
    return said;
  }
  const refused = (kind: 'declined' | 'deny', why: string) => {
    ctx.remark({ kind, rule, reason: why });
    return new Refusal('forbidden', reason ?? why, { data: { error: 'policy_declined', rule } });
  };
  if (!(await isFirst(said.id, host)))
    return refused('deny', 'the question has been answered already; each answer counts once');
  if (said.action === 'decline') return refused('declined', 'the person who was asked has declined');
  if (said.action === 'cancel') return refused('declined', 'the person who was asked has not decided');
  if (confirmUrl !== undefined) {
    const answer = await pageAnswer(confirmUrl.replaceAll(PLACE_OF_ID, id), ctx.signal, host);
    if (answer === 'away') {
      const why = 'nobody can be asked whether it was approved; try again later';
      ctx.remark({ kind: 'deny', rule, reason: why });
      return new Refusal('failed', why, { data: { error: 'policy_unaskable', rule } });
    }
    if (answer === 'waiting')
      return refused('declined', 'nobody has approved it in time; it can be asked again');
    if (answer === 'declined') return refused('declined', 'it was declined on the page');
  }
  ctx.remark({ kind: 'approved', rule, ...(said.content && { data: { content: said.content as Json } }) });
  return undefined;
}

/**
 * Whoever holds an answer could send it again and again, or another one to the same question. Of answers that race the
 * bucket lets one through; the store knows of those from before a crash.
 */
async function isFirst(answer: string, { buckets, store }: PluginHost): Promise<boolean> {
  const name = `approval/${answer}`;
  const { count } = await buckets.take(name, { intervalUs: USED_UP_MS * 1_000, burst: 1 }, 1);
  if (count === 0 || (await store.get(name)) !== undefined) return false;
  await store.set(name, '1', { ttlMs: USED_UP_MS });
  return true;
}

/** To open a page is not to approve on it (2026-07-28, client/elicitation, "URL Mode"): whoever has it says what came of it. */
async function pageAnswer(
  url: string,
  signal: AbortSignal,
  { clock, fetch, log }: PluginHost,
): Promise<'approved' | 'declined' | 'waiting' | 'away'> {
  const untilMs = clock.now() + PAGE_WAIT_MS;
  for (;;) {
    let status: number;
    try {
      ({ status } = await fetch(url));
    } catch (error) {
      log.warn({ err: error }, 'the page of approvals cannot be asked');
      return 'away';
    }
    if (status === 200 || status === 204) return 'approved';
    if (status === 403 || status === 410) return 'declined';
    if (status !== 202 && status !== 404) {
      log.warn({ status }, 'the page of approvals says nothing that is understood');
      return 'away';
    }
    if (signal.aborted || clock.now() >= untilMs) return 'waiting';
    await new Promise<void>((resolve) => void clock.after(PAGE_INTERVAL_MS, resolve));
  }
}

/** The same for the same use by the same principal, and for no other. Says nothing of either. */
function idOf({ principal, target, arguments: args }: ApprovalCtx, rule: string): string {
  const use = JSON.stringify([principal.id, rule, target?.upstream, target?.kind, target?.name, args]);
  return createHash('sha256').update(use).digest('base64url');
}
