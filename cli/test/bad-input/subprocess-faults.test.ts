import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { metric } from '../stories/gateway-metrics.js';
import { type JsonRpc, lastMessage, postModern } from '../stories/raw-http.js';
import { LIMITS } from './attacked-gateway.js';

const SERVER = fileURLToPath(new URL('./misbehaving-stdio.mjs', import.meta.url));

/** The gateway's own codes (docs/reference/errors.md). */
const TIMEOUT = -31002;
const BAD_ANSWER = -31003;
const LOST = -31004;

/** What ends the process waits before it is started again, longer each time. */
const RESTART_LIMIT_MS = 20_000;

describe('a subprocess', () => {
  let gateway: RunningGateway;
  beforeAll(async () => {
    const stdio = { command: process.execPath, args: [SERVER] };
    const limits = { timeout: `${LIMITS.upstreamTimeoutMs}ms`, max_message_bytes: LIMITS.messageBytes };
    gateway = await startGateway({
      config: { upstreams: ['bad', 'other'].map((name) => ({ name, stdio, ...limits })) },
    });
  });
  afterAll(() => gateway?.stop());

  async function ask(upstream: string, tool: string): Promise<JsonRpc> {
    const params = { name: tool, arguments: {} };
    return lastMessage(await postModern(`${gateway.url}/mcp/${upstream}`, 'tools/call', params));
  }
  const textOf = (answer: JsonRpc) => answer.result?.content[0].text;

  afterEach(async () => {
    expect(textOf(await ask('other', 'good'))).toBe('fine');
    await expect
      .poll(async () => textOf(await ask('bad', 'good')), { timeout: RESTART_LIMIT_MS })
      .toBe('fine');
    expect(await metric(gateway.url, 'sluice_faults_total')).toBe(0);
  });

  it.each(['writes_garbage_first', 'asks_first', 'answers_twice', 'floods_stderr_first'])(
    'that %s gives its answer all the same',
    async (tool) => {
      expect(textOf(await ask('bad', tool))).toBe('fine');
    },
  );

  it.each([
    ['hangs', TIMEOUT],
    ['answers_half', BAD_ANSWER],
    ['has_a_key_twice', BAD_ANSWER],
    ['is_no_utf8', BAD_ANSWER],
    ['answers_somebody_else', TIMEOUT],
    ['exits', LOST],
    ['is_killed', LOST],
    ['writes_a_line_without_end', LOST],
  ])('that %s costs the call', async (tool, code) => {
    const asked = ask('bad', tool);
    // Whoever asks another server meanwhile notices nothing.
    expect(textOf(await ask('other', 'good'))).toBe('fine');
    expect((await asked).error).toMatchObject({ code, message: expect.stringContaining('"bad"') });
  });
});
