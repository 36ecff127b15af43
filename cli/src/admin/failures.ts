/** What a person is told of a command that failed, and its exit code. */
import type { Problem } from '@sluice/control-plane';
import type { Finding } from '@sluice/proto/admin';
import { keyText } from '@sluice/proto/cluster';
import { AdminCallError } from '@sluice/sdk/admin';
import { EXIT } from '../exit-codes.js';
import { type Palette, printable } from '../terminal.js';
import { keyLabel } from './changes-text.js';
import { type Streams, UsageError } from './surroundings.js';

/** Where the resource of a finding was written; undefined when that is not known. */
export type Locate = (key: string, problem: Problem) => Problem | undefined;

const UNREACHABLE_HINT = 'name the control plane with --server or SLUICE_ADMIN_SERVER';
const NO_ADMIN_API_HINT =
  'name the address of the admin API (--admin-listen of the control plane), not the one of nodes; both have to be of a version that knows the command';
const LATE_HINT = '--timeout gives it more; whether a change was made after all is in sluice config history';
const HINTS: Readonly<Record<string, string>> = {
  UNAUTHENTICATED:
    'show a token with --token-file or SLUICE_ADMIN_TOKEN, or a certificate with --cert and --key',
  ROLLOUT_ACTIVE: 'sluice rollout status shows it; sluice rollout promote and abort end it',
  REVISION_UNKNOWN: 'sluice config history shows which are known',
};

/** Where to look for what a call did not find, by the service that was asked. */
const NOT_FOUND_HINTS: Readonly<Record<string, string>> = {
  ConfigurationService: 'sluice config get shows what there is',
  FleetService: 'sluice nodes and sluice connections show which there are',
  RolloutService: 'sluice rollout list shows which there were',
};

const EXIT_OF_REASON: Readonly<Record<string, number>> = {
  INVALID_RESOURCES: EXIT.configuration,
  INVALID_REQUEST: EXIT.usage,
  CONFLICT: EXIT.conflict,
  ETAG_MISMATCH: EXIT.conflict,
  ROLLOUT_ACTIVE: EXIT.conflict,
  INTERNAL: EXIT.unexpected,
};

/**
 * Says why a command failed.
 *
 * @returns the exit code
 * @throws what nobody expects
 */
export async function tellFailure(
  error: unknown,
  { err }: Pick<Streams, 'err'>,
  paint: Palette,
  locate: Locate = () => undefined,
): Promise<number> {
  if (error instanceof UsageError) {
    err.write(`sluice: ${printable(error.message)}\n`);
    return EXIT.usage;
  }
  if (!(error instanceof AdminCallError)) throw error;
  if (error.findings.length > 0) {
    await tellFindings(error.findings, { err }, paint, locate);
    const total = Number(error.metadata.findings_total ?? error.findings.length);
    const errors = error.findings.filter(({ warning }) => !warning).length;
    const more = total > error.findings.length ? ` of ${total} findings` : '';
    err.write(`sluice: nothing was changed: ${errors} ${errors === 1 ? 'error' : 'errors'}${more}\n`);
    return EXIT.configuration;
  }
  err.write(`sluice: ${messageOf(error)}\n`);
  const hint = hintOf(error);
  if (hint !== undefined) err.write(`${paint.dim(`  hint: ${hint}`)}\n`);
  return exitCodeOf(error);
}

/** What is wrong with resources, and what somebody should look at, each with its place where that is known. */
export async function tellFindings(
  findings: readonly Finding[],
  { err }: Pick<Streams, 'err'>,
  paint: Palette,
  locate: Locate = () => undefined,
): Promise<void> {
  if (findings.length === 0) return;
  const { formatProblem } = await import('@sluice/control-plane');
  const colour = paint.red('') !== '';
  for (const { resource, field, message, hint, warning } of findings) {
    const problem: Problem = {
      severity: warning ? 'warning' : 'error',
      path: field,
      message: printable(message),
      hint: printable(hint),
    };
    const located = resource === undefined ? undefined : locate(keyText(resource), problem);
    const label = resource === undefined ? '' : keyLabel(resource);
    const path = [label, printable(field)].filter((part) => part !== '').join(': ');
    err.write(`${formatProblem({ ...problem, ...located, path }, { colour })}\n`);
  }
}

function messageOf(error: AdminCallError): string {
  const { code, address, message } = error;
  if (isUnreachable(error)) return `no control plane answers at ${address}: ${printable(message)}`;
  return code === 'DEADLINE_EXCEEDED' ? `no answer from ${address} in time` : printable(message);
}

function hintOf(error: AdminCallError): string | undefined {
  if (isUnreachable(error)) return UNREACHABLE_HINT;
  if (error.code === 'DEADLINE_EXCEEDED') return LATE_HINT;
  if (error.conflict !== undefined) {
    const { expected, head } = error.conflict;
    return `look at it with sluice config diff ${expected} ${head}, and apply again with --expect-revision ${head}`;
  }
  if (error.reason === 'NOT_FOUND') return NOT_FOUND_HINTS[error.method.replace(/\..*/, '')];
  if (error.code === 'UNIMPLEMENTED') return NO_ADMIN_API_HINT;
  return HINTS[error.reason ?? ''];
}

function isUnreachable({ code, reason }: AdminCallError): boolean {
  return code === 'UNAVAILABLE' && reason === undefined;
}

function exitCodeOf({ code, reason = '' }: AdminCallError): number {
  if (code === 'UNAVAILABLE' || code === 'DEADLINE_EXCEEDED') return EXIT.unhealthy;
  return EXIT_OF_REASON[reason] ?? EXIT.refused;
}
