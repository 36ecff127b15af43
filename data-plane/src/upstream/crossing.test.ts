import { describe, expect, it } from 'vitest';
import type { Caller } from '../exchange/exchange.js';
import { ErrorCode } from '../protocol/errors.js';
import type { Era } from '../protocol/revisions.js';
import { scanMessage } from '../protocol/scan.js';
import { legacyToModern, modernToLegacy } from './crossing.js';
import { ownCall } from './own-request.js';
import type { Shared } from './shared-connection.js';

const caller = (era: Era): Caller => ({
  era,
  revision: era === 'modern' ? '2026-07-28' : '2025-06-18',
  principal: 'p',
  capabilities: '{}',
  clientInfo: undefined,
  logLevel: undefined,
});

/** An upstream that says these messages to every call, the last of them as the response. */
function saying(...messages: object[]): Shared & { callCount: number } {
  const shared = {
    callCount: 0,
    facts: { revision: '2025-11-25', capabilities: {}, serverInfo: undefined, instructions: undefined },
    async call({ onNotification }: Parameters<Shared['call']>[0]) {
      shared.callCount++;
      const read = messages.map((message) => {
        const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
        return { bytes, envelope: scanMessage(bytes) };
      });
      for (const { bytes, envelope } of read.slice(0, -1)) onNotification(bytes, envelope);
      return read.at(-1);
    },
  };
  return shared as unknown as Shared & { callCount: number };
}

describe('tasks', () => {
  const upstream = saying({ id: 1, result: {} });
  const call = (modern: boolean) => ownCall('tasks/list', {}, modern);

  it.each([
    [
      'legacy',
      '2025-06-18',
      '2026-07-28',
      () => legacyToModern(upstream, call(false), caller('legacy'), 'u'),
    ],
    [
      'modern',
      '2026-07-28',
      '2025-11-25',
      () => modernToLegacy(upstream, call(true), caller('modern'), undefined),
    ],
  ])('of a %s client are refused, and not sent', async (_, clientRevision, serverRevision, ask) => {
    await expect(ask()).rejects.toMatchObject({
      code: ErrorCode.NotTranslatable,
      message: expect.stringContaining(`a client of ${clientRevision} and a server of ${serverRevision}`),
      data: { feature: 'tasks/list', clientRevision, serverRevision },
    });
    expect(upstream.callCount).toBe(0);
  });
});

it('a result of another type than a legacy client knows is refused by its type', async () => {
  const upstream = saying({ id: 1, result: { resultType: 'task', taskId: 't' } });
  const reply = legacyToModern(upstream, ownCall('tools/call', {}, false), caller('legacy'), 'u');
  await expect(reply).rejects.toMatchObject({
    code: ErrorCode.NotTranslatable,
    data: { feature: 'a result of the type "task"', specification: '2026-07-28, basic, "ResultType"' },
  });
});

it('a modern client does not hear that a page was completed', async () => {
  const progress = { method: 'notifications/progress', params: { progressToken: 1, progress: 1 } };
  const upstream = saying(
    { method: 'notifications/elicitation/complete', params: { elicitationId: 'e' } },
    progress,
    { id: 1, result: {} },
  );
  const heard: string[] = [];
  const call = ownCall('tools/call', {}, true, (_, { method }) => heard.push(method));
  await modernToLegacy(upstream, call, caller('modern'), undefined);
  expect(heard).toEqual([progress.method]);
});
