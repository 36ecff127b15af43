/** What the exit code of every `sluice` command means. Scripts and supervisors rely on these numbers. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  configuration: 3,
  unhealthy: 4,
  address: 5,
  conflict: 6,
  behind: 7,
  refused: 8,
  rolledBack: 9,
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
  [
    EXIT.configuration,
    'the configuration, for keys create its secret, or for control-plane a file or its store, is missing or invalid',
  ],
  [
    EXIT.unhealthy,
    'the gateway or the control plane does not answer, or an upstream of the gateway is not ready',
  ],
  [EXIT.address, 'the address cannot be listened on, for example because the port is taken'],
  [
    EXIT.conflict,
    'somebody else has changed the configuration of the cluster first, or a rollout is under way; for pin accept: a tool ' +
      'is another than the one that was looked at',
  ],
  [EXIT.behind, 'the change is made, and the nodes that were waited for do not run it'],
  [EXIT.refused, 'the control plane refuses it: the caller may not, or there is no such thing'],
  [EXIT.rolledBack, 'the change was given to some nodes, and was taken back'],
];
