/** What plugins have decided and found about a request, for whoever records it. */
import type { Call } from './exchange.js';
import type { JsonObject } from './identity.js';
import type { Refusal } from './refusal.js';

export const REMARK_KINDS = [
  'allow',
  'deny',
  'ask',
  'approved',
  'declined',
  'redacted',
  'flagged',
  'held',
] as const;

export interface Remark {
  /**
   * What came of it: let through, refused, put to a person, approved or declined by that person, something was taken
   * out, something was found, an old state was kept.
   */
  readonly kind: (typeof REMARK_KINDS)[number];
  /** Names the rule that says so. */
  readonly rule?: string;
  /** A sentence for those who read records. Never a secret, and nothing of the arguments. */
  readonly reason?: string;
  /** More of it, for records. */
  readonly data?: JsonObject;
  /** False where it was only noted, and the request went on as if nothing had been said. */
  readonly isEnforced?: false;
}

export interface Remarked extends Remark {
  /** Name of the binding; `sluice` where the gateway itself says so. */
  readonly by: string;
}

/** What the gateway calls itself where it refuses and no plugin does. */
export const THE_GATEWAY = 'sluice';

/** What plugins may say of one request. Refusals are remarked beyond it. */
export const MAX_REMARKS_COUNT = 64;
const MAX_RULE_LENGTH = 256;
const MAX_REASON_LENGTH = 1_024;

/** @throws TypeError for what is no remark. */
export function addRemark(call: Call, by: string, remark: Remark): void {
  if (!REMARK_KINDS.includes(remark?.kind))
    throw new TypeError(
      `${JSON.stringify(remark?.kind)} is no kind of remark; they are ${REMARK_KINDS.join(', ')}`,
    );
  const { kind, rule, reason, data, isEnforced } = remark;
  call.remarks ??= [];
  if (call.remarks.length >= MAX_REMARKS_COUNT) return;
  call.remarks.push({
    kind,
    ...(rule !== undefined && { rule: String(rule).slice(0, MAX_RULE_LENGTH) }),
    ...(reason !== undefined && { reason: String(reason).slice(0, MAX_REASON_LENGTH) }),
    ...(data !== undefined && { data }),
    ...(isEnforced === false && { isEnforced }),
    by,
  });
}

/** That a request was refused; each refusal stands there once, by whoever gave it, with `data.rule` if it has one. */
export function addRefusal(call: Call, { by = THE_GATEWAY, message, details }: Refusal): void {
  const rule = (details.data as { readonly rule?: unknown } | null | undefined)?.rule;
  call.remarks ??= [];
  call.remarks.push({
    kind: 'deny',
    ...(typeof rule === 'string' && { rule: rule.slice(0, MAX_RULE_LENGTH) }),
    reason: message,
    by,
  });
}
