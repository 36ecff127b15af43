import { expect, test } from 'vitest';
import { readOptions, UsageError } from './options.js';
import { ROWS } from './relays/relay.js';
import { STREAM_KINDS } from './streams/kinds.js';

test('without options everything is measured', () => {
  expect(readOptions([])).toEqual({
    rounds: 5,
    seconds: 3,
    connections: [1, 10, 64],
    rows: ROWS,
    out: undefined,
    profile: false,
  });
});

test('--quick changes defaults, and what is said beside it still counts', () => {
  expect(readOptions(['--quick'])).toMatchObject({ rounds: 2, seconds: 0.5, connections: [10] });
  expect(readOptions(['--quick', '--rounds', '7'])).toMatchObject({ rounds: 7, seconds: 0.5 });
});

test('--only takes parts of row ids', () => {
  const options = readOptions(['--only', 'direct-modern,nginx']);
  if (options === 'help' || !('rows' in options)) throw new Error('asked for something else');
  expect(options.rows.map(({ id }) => id)).toEqual(['direct-modern', 'nginx-modern', 'nginx-legacy']);
});

test('--streams measures something else, with the options that it has', () => {
  expect(readOptions(['--streams', '10000'])).toEqual({
    streams: 10_000,
    kinds: STREAM_KINDS,
    out: undefined,
  });
  expect(readOptions(['--streams', '5', '--only', 'modern-merged', '--out', 'x.json'])).toMatchObject({
    kinds: [{ id: 'stream-modern-merged' }],
    out: 'x.json',
  });
});

test('--propagation measures a cluster', () => {
  const whole = { propagation: true, nodes: 100, resources: 10_000, changes: 100, out: undefined };
  expect(readOptions(['--propagation'])).toEqual(whole);
  expect(readOptions(['--propagation', '--quick', '--nodes', '3'])).toMatchObject({ nodes: 3, changes: 20 });
});

test('--plugins measures plugins alone, in many short rounds', () => {
  expect(readOptions(['--plugins'])).toEqual({
    plugins: true,
    rounds: 15,
    seconds: 0.1,
    only: [],
    out: undefined,
  });
  expect(readOptions(['--plugins', '--quick', '--only', 'cors, ratelimit'])).toMatchObject({
    rounds: 3,
    only: ['cors', 'ratelimit'],
  });
});

test('a number of connections given twice is measured once', () => {
  expect(readOptions(['--connections', '4,4,8'])).toMatchObject({ connections: [4, 8] });
});

test.each([
  [['--rounds', '0'], '--rounds: "0" is not a whole number from 1 to 100'],
  [['--rounds', '1.5'], '--rounds: "1.5" is not a whole number from 1 to 100'],
  [['--seconds', 'many'], '--seconds: "many" is not a number from 0.1 to 60'],
  [['--connections', '1,'], '--connections: "" is not a whole number from 1 to 512'],
  [['--only', 'haproxy'], '--only: no row contains "haproxy"; there are direct-modern'],
  [['--streams', '0'], '--streams: "0" is not a whole number from 1 to 100000'],
  [
    ['--streams', '10', '--rounds', '1'],
    '--rounds is about calls: beside --streams there are --only and --out',
  ],
  [['--streams', '10', '--only', 'nginx'], '--only: no row contains "nginx"; there are stream-modern-merged'],
  [['--propagation', '--rounds', '3'], '--rounds is about one gateway: beside --propagation there are'],
  [['--propagation', '--resources', '99'], '--resources: "99" is not a whole number from 100 to 100000'],
  [['--changes', '5'], '--changes goes with --propagation'],
  [['--plugins', '--connections', '10'], '--connections is about a gateway: beside --plugins there are'],
  [['--plugins', '--seconds', '0'], '--seconds: "0" is not a number from 0.01 to 60'],
  [['--swap', '5'], '--swap: "5" is not a whole number from 100 to 100000'],
  [['--swap', '1000', '--rounds', '2'], '--rounds is about calls: beside --swap there is --out'],
  [['--fast'], "Unknown option '--fast'"],
])('%j is refused with what would be right', (args, message) => {
  expect(() => readOptions(args)).toThrow(UsageError);
  expect(() => readOptions(args)).toThrow(message);
});
