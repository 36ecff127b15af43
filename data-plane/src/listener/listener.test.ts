import { describe, expect, test } from 'vitest';
import { framingCases } from './cases/framing.js';
import { lifecycleCases } from './cases/lifecycle.js';
import { limitCases } from './cases/limits.js';
import { replyCases } from './cases/replies.js';
import { requestCases } from './cases/requests.js';
import { socketCases } from './cases/sockets.js';
import { type Kind, LIMITS, TestDoor } from './cases/test-listener.js';
import { createListener } from './create.js';
import { loadUws } from './uws-load.js';

const loaded = await loadUws();

function cases(kind: Kind): void {
  describe('framing', () => framingCases(kind));
  describe('requests', () => requestCases(kind));
  describe('limits', () => limitCases(kind));
  describe('replies', () => replyCases(kind));
  describe('lifecycle', () => lifecycleCases(kind));
  describe('sockets', () => socketCases(kind));
}

describe('node', () => cases('node'));

describe.skipIf(!loaded.ok)(loaded.ok ? 'uws' : `uws: ${loaded.reason}`, () => cases('uws'));

describe('choice', () => {
  const options = { host: '127.0.0.1', port: 0, sharedPort: false, limits: LIMITS };

  test('the listener is uWebSockets.js where it loads, and node:http elsewhere', async () => {
    const listener = await createListener('auto', options, new TestDoor());
    expect(listener.kind).toBe(loaded.ok ? 'uws' : 'node');
    await listener.close();
  });

  test.runIf(!loaded.ok)('uWebSockets.js is refused with a reason where it does not load', async () => {
    await expect(createListener('uws', options, new TestDoor())).rejects.toThrow(
      /^uWebSockets\.js has no binary that loads on Node\.js [\d.]+, \w+-\w+: .+\. The node listener serves without it\.$/,
    );
  });

  test.runIf(loaded.ok)('limits that uWebSockets.js cannot enforce are refused', async () => {
    const over = (limits: object) =>
      createListener('uws', { ...options, limits: { ...LIMITS, ...limits } }, new TestDoor());
    await expect(over({ maxHeaderCount: 98 })).rejects.toThrow('uWebSockets.js can refuse at most 97');
    await expect(over({ maxHeaderBytes: 200_000 })).rejects.toThrow(/uWebSockets\.js takes at most 13\d{4}/);
  });
});
