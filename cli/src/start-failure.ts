import type { ResolvedConfiguration } from '@sluice/proto';
import { EXIT } from './exit-codes.js';

/** Why an address cannot be listened on, by the system's error code, and what to do about it. */
const ADDRESS_FAILURES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something listens there already; stop it, or choose another port with --port',
  EACCES: 'this user may not listen there; choose a port above 1023 with --port',
  EADDRNOTAVAIL: 'this machine does not have that address; choose another with --host',
  ENOTFOUND: 'that host name has no address; choose another with --host',
};

/** Says in plain words why the data plane could not start, and with which exit code that ends. */
export function explainStartFailure(
  error: unknown,
  { gateway: { listen } }: ResolvedConfiguration,
): { exitCode: number; explanation: string } {
  const chain = causes(error);
  for (const { code, message } of chain) {
    if (code === 'CERTIFICATE_UNUSABLE' || code === 'FOLDER_TAKEN')
      return { exitCode: EXIT.configuration, explanation: message };
    const reason = typeof code === 'string' ? ADDRESS_FAILURES[code] : undefined;
    if (reason) {
      const [{ address, port }] = chain.filter((cause) => cause.code === code) as [SystemError];
      const place = `${address ?? listen.host}:${port ?? listen.port}`;
      return { exitCode: EXIT.address, explanation: `cannot listen on ${place}: ${reason}` };
    }
  }
  const [first] = chain;
  return { exitCode: EXIT.unexpected, explanation: first?.message ?? String(error) };
}

interface SystemError extends Error {
  readonly code?: unknown;
  readonly address?: string;
  readonly port?: number;
}

/** The error and what caused it, outermost first. */
function causes(error: unknown): SystemError[] {
  const chain: SystemError[] = [];
  for (let next = error; next instanceof Error && !chain.includes(next); next = next.cause) chain.push(next);
  return chain;
}
