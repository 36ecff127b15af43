import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { beginSession, type RawSession } from '../stories/raw-http.js';
import { AttackedGateway, errorOf, LIMITS, LISTENERS } from './attacked-gateway.js';
import { RawConnection } from './raw-connection.js';
import { goodCall, MODERN_META, modernCall, modernFields, post } from './requests.js';

/** The gateway's own codes (docs/reference/errors.md). */
const UNAVAILABLE = -31001;
const TIMEOUT = -31002;
const BAD_ANSWER = -31003;
const LOST = -31004;

/** What each tool does to its answer, and what the client is told. */
const FAULTS: [tool: string, code: number][] = [
  ['hangs', TIMEOUT],
  ['hangs_midway', TIMEOUT],
  ['is_no_http', BAD_ANSWER],
  ['closes_at_once', LOST],
  ['sends_half_a_head', LOST],
  ['sends_half_a_body', LOST],
  ['sends_half_a_chunk', LOST],
  ['sends_two_lengths', BAD_ANSWER],
  ['sends_a_head_without_end', BAD_ANSWER],
  ['is_no_json', BAD_ANSWER],
  ['is_no_json_rpc', BAD_ANSWER],
  ['is_an_array', BAD_ANSWER],
  ['has_a_key_twice', BAD_ANSWER],
  ['is_no_utf8', BAD_ANSWER],
  ['is_nested_too_deep', BAD_ANSWER],
  ['is_empty', BAD_ANSWER],
  ['has_no_content', BAD_ANSWER],
  ['is_only_accepted', BAD_ANSWER],
  ['is_a_page', BAD_ANSWER],
  ['is_compressed', BAD_ANSWER],
  ['fails_with_a_page', BAD_ANSWER],
  ['is_unauthorized', UNAVAILABLE],
  ['is_too_busy', UNAVAILABLE],
  ['leads_elsewhere', BAD_ANSWER],
  ['leads_elsewhere_with_the_body', BAD_ANSWER],
  ['answers_somebody_else', BAD_ANSWER],
  ['sends_an_event_that_is_no_json', BAD_ANSWER],
  ['sends_half_an_event', BAD_ANSWER],
  ['sends_no_response', BAD_ANSWER],
  ['sends_json_without_end', BAD_ANSWER],
  ['sends_an_event_without_end', BAD_ANSWER],
  ['sends_a_comment_without_end', BAD_ANSWER],
  ['sends_empty_data_without_end', BAD_ANSWER],
];

/** Of a message without end the gateway may read the limit, what is under way, and no more. */
const MOST_READ_BYTES = LIMITS.messageBytes + 12 * 1024 * 1024;
const MOST_GROWTH_BYTES = 96 * 1024 * 1024;

function lastMessage(body: string): Record<string, any> {
  const events = body.match(/^data: ?.+$/gm);
  return JSON.parse(events === null ? body : (events.at(-1) as string).slice('data:'.length));
}

describe.each(LISTENERS)('with the %s listener', (listener) => {
  let gateway: AttackedGateway;
  beforeAll(async () => {
    gateway = await AttackedGateway.start(listener);
  });
  afterAll(() => gateway?.stop());
  afterEach(async () => {
    await gateway.expectServes();
    gateway.takeReached();
  });

  describe('a modern client of a modern server', () => {
    it.each(FAULTS)('is told when it %s', async (tool, code) => {
      const before = { bytes: gateway.modern.sentBytes, memory: gateway.residentBytes() };
      const asked = gateway.ask(
        post('/mcp/modern', modernFields('tools/call', tool), JSON.stringify(modernCall(tool))),
      );
      // Whoever asks something else meanwhile notices nothing.
      await gateway.expectServes();
      const answer = await asked;
      expect(answer?.status).toBe(200);
      const { id, error } = lastMessage(answer?.body ?? '');

      expect([id, error.code, error.message]).toEqual([1, code, expect.stringContaining('"modern"')]);
      expectNothingLeaked(`${JSON.stringify(answer?.headers)} ${answer?.body}`);
      await expect.poll(() => gateway.modern.openCount).toBeLessThanOrEqual(1);
      expect(gateway.modern.sentBytes - before.bytes).toBeLessThan(MOST_READ_BYTES);
      expect(gateway.residentBytes() - before.memory).toBeLessThan(MOST_GROWTH_BYTES);
      expect(gateway.takeReached().map((each) => each.tool)).toEqual([tool]);
    });

    it('is told when it asks on its stream', async () => {
      const tool = 'asks_on_its_stream';
      const answer = await gateway.ask(
        post('/mcp/modern', modernFields('tools/call', tool), JSON.stringify(modernCall(tool))),
      );
      expect(errorOf(answer)).toMatchObject({
        code: BAD_ANSWER,
        message: expect.stringContaining('request'),
      });
    });

    it('is told when nobody listens there any more', async () => {
      const other = await AttackedGateway.start(listener);
      await other.modern.stop();
      expect(errorOf(await other.ask(goodCall('/mcp/modern', 'good'))).code).toBe(UNAVAILABLE);
      await other.stop();
    });

    it.each(['sends_events_of_other_kinds', 'sends_two_responses'])(
      'gets the one response when it %s',
      async (tool) => {
        const answer = await gateway.ask(
          post('/mcp/modern', modernFields('tools/call', tool), JSON.stringify(modernCall(tool))),
        );
        expect(lastMessage(answer?.body ?? '')).toMatchObject({
          id: 1,
          result: { content: [{ text: 'fine' }] },
        });
        expect(answer?.body.match(/fine/g)).toHaveLength(1);
      },
    );

    it('gets what nobody knows as it came, in both directions', async () => {
      const body =
        '{"jsonrpc":"2.0","id":1,"x":[1.0],"method":"tools/call","params":{"name":"talkative", "é":{"n":12345678901234567890},"_meta":META}}';
      const sent = body.replace('META', JSON.stringify({ ...MODERN_META, 'com.example/own': 'ü' }));
      const answer = await gateway.ask(post('/mcp/modern', modernFields('tools/call', 'talkative'), sent));
      expect(gateway.takeReached().map((each) => each.body)).toEqual([sent]);
      expect(Buffer.from(answer?.body ?? '', 'latin1').toString()).toBe(
        '{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[],"unknown":{"n":1.0,"é":[]}},"x":{}}',
      );
      expectNothingLeaked(JSON.stringify(answer?.headers));
    });

    it('that leaves stops a server that never ends', async () => {
      const tool = 'sends_events_without_end';
      const connection = await RawConnection.open(gateway.url);
      connection.send(
        post('/mcp/modern', modernFields('tools/call', tool), JSON.stringify(modernCall(tool))),
      );
      await expect.poll(() => connection.received.length).toBeGreaterThan(1_000);
      connection.close();
      await expect.poll(() => gateway.modern.openCount).toBe(0);
    });
  });

  describe('a legacy client of a legacy server', () => {
    let session: RawSession;
    beforeAll(async () => {
      session = await beginSession(`${gateway.url}/mcp/legacy`);
    });

    it.each(FAULTS)('is told when it %s', async (tool, code) => {
      const before = { bytes: gateway.legacy.sentBytes, memory: gateway.residentBytes() };
      const asked = session.ask('tools/call', { name: tool, arguments: {} });
      await gateway.expectServes();
      const { error } = await asked;
      expect([error?.code, error?.message]).toEqual([code, expect.stringContaining('"legacy"')]);
      expectNothingLeaked(JSON.stringify(error));
      expect(gateway.legacy.sentBytes - before.bytes).toBeLessThan(MOST_READ_BYTES);
      expect(gateway.residentBytes() - before.memory).toBeLessThan(MOST_GROWTH_BYTES);
      const after = await session.ask('tools/call', { name: 'good', arguments: {} });
      expect(after.result?.content[0].text).toBe('fine');
      const reached = gateway.takeReached().filter((each) => each.method === 'tools/call');
      expect(reached.map((each) => each.tool)).toEqual([tool]);
    });
  });
});

function expectNothingLeaked(text: string): void {
  expect(text).not.toMatch(/secret|www-authenticate|set-cookie|of-the-upstream|x-upstream|sluice-internal/i);
}
