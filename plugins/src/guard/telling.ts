/** Says what the plugin found: to metrics, to records and to logs. */
import { type Attributes, type PluginHost, Refusal, type Target } from '@sluice/sdk';
import type { Report } from './report.js';
import type { Hit } from './request-rules.js';

type Remarking = Pick<Attributes, 'remark'>;
type Answered = Pick<Attributes, 'remark' | 'method' | 'targets'>;

/** Of a name in the log. */
const MAX_NAME_LENGTH = 300;
/** Where a URI may have a secret: what stands before an `@`, and behind the path. */
const CREDENTIALS_IN_URI = /(?<=\/\/)[^/@]*@|[?#].*$/gs;

/** An entry of a list, and whether it was never seen before. */
interface LookedAt {
  readonly target: Target;
  readonly isNew: boolean;
}

/** Says what was found, to metrics, records and logs; nothing of the texts. */
export function teller({ metrics, log }: PluginHost, isEnforced: boolean) {
  const enforced = isEnforced ? {} : { isEnforced: false as const };
  const redacted = (id: string, by = 1) =>
    metrics.count('redacted_total', 'Secrets and personal data that were found.', { detector: id }, by);
  return {
    redacted,

    dropped(method: string): void {
      metrics.count('dropped_total', 'Notifications that were too large to be gone through.');
      log.warn({ method }, 'a notification is too large to be gone through');
    },

    hit({ remark }: Remarking, { id, reason, action }: Hit): void {
      metrics.count('hits_total', 'Calls that fell under a rule.', { rule: id, action });
      if (action === 'flag') remark({ kind: 'flagged', rule: id, reason, isEnforced: false });
      else remark({ kind: isEnforced ? 'flagged' : 'deny', rule: id, reason, ...enforced });
    },

    /** A refusal where it cannot go on. */
    answer({ remark, method, targets }: Answered, report: Report, entry?: LookedAt): Refusal | undefined {
      const { score, signals, invisible, isCut, isShortened, denied } = report;
      for (const [id, count] of Object.entries(report.redacted)) {
        redacted(id, count);
        remark({ kind: 'redacted', rule: id, data: { count }, ...enforced });
      }
      if (invisible > 0)
        remark({ kind: 'redacted', rule: 'invisible', data: { count: invisible }, ...enforced });
      if (score > 0 && (isCut || denied !== undefined || score >= report.minScore)) {
        metrics.count(
          'instructions_total',
          'Answers and descriptions that look like instructions to a model.',
        );
        const at = { method, ...placeOf(entry?.target ?? targets[0]) };
        remark({
          kind: 'flagged',
          rule: 'instructions',
          data: { score, signals: [...signals], ...at },
          ...enforced,
        });
        // Lists are asked for often; once is enough to know.
        if (entry?.isNew !== false)
          log.warn({ score, signals, ...at }, 'something looks like instructions to a model');
      }
      if (isShortened) remark({ kind: 'redacted', rule: 'max_result_bytes', ...enforced });
      if (denied === undefined) return undefined;
      metrics.count('denied_total', 'Answers that were held back.', { rule: denied.rule });
      remark({
        kind: isEnforced ? 'flagged' : 'deny',
        rule: denied.rule,
        reason: denied.reason,
        ...enforced,
      });
      if (!isEnforced) return undefined;
      const message = `the answer is held back: ${denied.reason} (rule ${denied.rule})`;
      return new Refusal(denied.isTooLarge ? 'tooLarge' : 'forbidden', message, {
        data: { rule: denied.rule },
      });
    },
  };
}

/** From where it came, for records and logs; nothing where no server is named. */
function placeOf(target: Target | undefined): { upstream?: string; target?: string } {
  if (target === undefined) return {};
  const { kind, upstream, name } = target;
  const shown = kind === 'resource' ? name.replace(CREDENTIALS_IN_URI, '') : name;
  return { upstream, target: shown.slice(0, MAX_NAME_LENGTH) };
}
