import { expect, test } from 'vitest';
import { topSelfTimes } from './cpu-profile.js';

function node(id: number, functionName: string, url = '', lineNumber = -1, children: number[] = []) {
  return { id, callFrame: { functionName, url, lineNumber }, children };
}

test('self times are summed by function, shares leave out idle time', () => {
  const profile = {
    nodes: [
      node(1, '(root)'),
      node(2, '(idle)'),
      node(3, 'relay', 'file:///app/data-plane/dist/front/relay.js', 41, [6]),
      node(4, 'writev'),
      // The same function, reached from another caller.
      node(5, 'relay', 'file:///app/data-plane/dist/front/relay.js', 41),
      node(6, 'Socket.write', 'node:net', 9, [4]),
    ],
    samples: [2, 3, 4, 5, 2],
    // The first delta is from the start of the profile to the first sample.
    timeDeltas: [9_999, 2_000, 500, 4_500, 1_000],
  };
  expect(topSelfTimes(profile, 10)).toEqual({
    sampledMillis: 8,
    idleShare: 0.25,
    top: [
      { name: 'writev', place: 'native, from relay dist/front/relay.js:42', selfMillis: 4.5, share: 0.75 },
      { name: 'relay', place: 'dist/front/relay.js:42', selfMillis: 1.5, share: 0.25 },
    ],
  });
  expect(topSelfTimes(profile, 1).top).toHaveLength(1);
});

test('an empty profile has no time', () => {
  expect(topSelfTimes({ nodes: [] }, 5)).toEqual({ sampledMillis: 0, idleShare: 0, top: [] });
});
