import { beforeEach, describe, expect, it } from 'vitest';
import type { LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { scanMessage } from '../protocol/scan.js';
import { ClientAsks } from './client-asks.js';

let asked: { id: string; method: string }[];
let asks: ClientAsks;

beforeEach(() => {
  asked = [];
  asks = new ClientAsks({
    caller: { revision: '2025-11-25', capabilities: '{"roots":{"listChanged":true},"tasks":{}}' },
    toClient: ({ bytes }: { bytes: Buffer }) => asked.push(JSON.parse(bytes.toString())),
  } as unknown as LegHost);
});

function refuse(): void {
  const error = { code: -1, message: 'I will not' };
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: asked.at(-1)?.id, error }));
  asks.response({ bytes, envelope: scanMessage(bytes) });
}

const round = (method: string) => asks.round('1', { key: { method, params: {} } });

it('tells a server of no changes of roots, and of no tasks', () => {
  expect(JSON.parse(asks.capabilities())).toEqual({ roots: {} });
});

describe('a client that answers with an error', () => {
  it('has cancelled an elicitation', async () => {
    const answers = round('elicitation/create');
    refuse();
    expect(await answers).toEqual({ key: { action: 'cancel' } });
  });

  it.each(['sampling/createMessage', 'roots/list'])('ends the call that needs %s', async (method) => {
    const answers = round(method);
    refuse();
    await expect(answers).rejects.toEqual(
      new RpcError(
        ErrorCode.NotTranslatable,
        `an error as the answer to ${method} cannot pass between a client of 2025-11-25 and a server of 2026-07-28: the server takes results only, and the client said "I will not" (2026-07-28, basic/patterns/mrtr, "InputResponses")`,
        {
          feature: `an error as the answer to ${method}`,
          clientRevision: '2025-11-25',
          serverRevision: '2026-07-28',
          specification: '2026-07-28, basic/patterns/mrtr, "InputResponses"',
        },
      ),
    );
  });
});

it('refuses a question that no legacy client knows', async () => {
  await expect(round('payment/confirm')).rejects.toMatchObject({
    code: ErrorCode.NotTranslatable,
    message: expect.stringMatching(/^the question "payment\/confirm" .* 2025-11-25 .* 2026-07-28: /),
  });
  expect(asked).toEqual([]);
});
