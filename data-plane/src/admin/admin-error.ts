/** A request of an operator that cannot be served, in words that HTTP and gRPC both have. */
export class AdminError extends Error {
  constructor(
    readonly kind: 'invalid' | 'not found' | 'unavailable',
    message: string,
  ) {
    super(message);
  }
}

/** What somebody said, in a message: not longer than a line. */
export function quoted(said: string): string {
  return JSON.stringify(said.slice(0, 100));
}
