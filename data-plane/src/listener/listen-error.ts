import { createServer } from 'node:net';

const EXPLANATIONS: Record<string, string> = {
  EADDRINUSE: 'the port is taken; choose another port or stop the process that has it',
  EACCES: 'this user may not listen there; ports below 1024 need privileges',
  EADDRNOTAVAIL: 'the host is not an address of this machine',
  ENOTFOUND: 'the host name has no address',
};

/** An error that says where it could not listen and why. */
export function listenError(host: string, port: number, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? 'unknown reason';
  const explanation = EXPLANATIONS[code];
  const why = explanation === undefined ? code : `${explanation} (${code})`;
  return new Error(`Cannot listen on ${authority(host, port)}: ${why}.`, { cause });
}

/** Host and port as one writes them in a URL. */
export function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Listens for a moment, alone, and resolves with the port. Rejects with the system's error when it cannot. */
export function tryPort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}

/** Rejects with a readable message when somebody listens on the port already. */
export async function refuseTakenPort(host: string, port: number): Promise<void> {
  await tryPort(host, port).catch((cause: unknown) => {
    throw listenError(host, port, cause);
  });
}
