/** What the exit code of every `sluice` command means. Scripts and supervisors rely on these numbers. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  configuration: 3,
  unhealthy: 4,
  address: 5,
} as const;

/** The same for readers: `--help` and the reference page print this table. */
export const EXIT_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT.ok, 'done; for serve: stopped as asked; for stdio: the client left, or it was told to stop'],
  [
    EXIT.unexpected,
    'unexpected failure; for serve: also when it had to be killed because it did not stop in time; for stdio: ' +
      'also when the connection had to be ended, which the log explains',
  ],
  [EXIT.usage, 'the command line is wrong'],
  [EXIT.configuration, 'the configuration, or for keys create its secret, is missing or invalid'],
  [EXIT.unhealthy, 'the gateway does not answer, or one of its upstreams is not ready'],
  [EXIT.address, 'the address cannot be listened on, for example because the port is taken'],
];
