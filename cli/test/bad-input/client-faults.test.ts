import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MODERN } from '../stories/raw-http.js';
import { AttackedGateway, errorOf, LISTENERS } from './attacked-gateway.js';
import {
  FOREIGN,
  good,
  legacy,
  legacyCall,
  modern,
  NOT_LEGACY,
  NOT_MESSAGES,
  NOT_MODERN,
  type Place,
  type Row,
  UNKNOWN,
} from './client-fault-rows.js';
import type { RawAnswer } from './raw-connection.js';
import { head, initialize, legacyFields, post } from './requests.js';

describe.each(LISTENERS)('with the %s listener', (listener) => {
  let gateway: AttackedGateway;
  const sessions: Record<string, string> = {};

  beforeAll(async () => {
    gateway = await AttackedGateway.start(listener);
    for (const path of ['/mcp', '/mcp/modern']) {
      const begun = await gateway.ask(post(path, legacyFields(undefined), JSON.stringify(initialize())));
      sessions[path] = begun?.headers['mcp-session-id'] as string;
    }
  });
  afterAll(() => gateway?.stop());
  afterEach(() => gateway.expectServes());

  const place = (path: string): Place => ({
    path,
    tool: path === '/mcp' ? 'modern__talkative' : 'talkative',
    session: sessions[path] as string,
  });

  async function expectRefused(path: string, [, bytes, status, code, says]: Row): Promise<RawAnswer> {
    const answer = await gateway.ask(bytes(place(path)));
    expect([answer?.status, answer?.headers['content-type']]).toEqual([status, 'application/json']);
    expect(errorOf(answer)).toMatchObject({ code, message: expect.stringContaining(says) });
    expect(gateway.takeReached()).toEqual([]);
    return answer as RawAnswer;
  }

  describe.each(['/mcp', '/mcp/modern'])('%s', (path) => {
    it('would take the request without the fault', async () => {
      for (const bytes of [modern(good)(place(path)), legacy(legacyCall)(place(path))]) {
        const answer = await gateway.ask(bytes);
        expect([answer?.status, answer?.body]).toEqual([200, expect.stringContaining('"content":[]')]);
        expect(gateway.takeReached()).toHaveLength(1);
      }
    });

    it.each(NOT_MESSAGES)('refuses %s', async (...row) => void (await expectRefused(path, row)));
    it.each(NOT_MODERN)(
      'refuses a modern request with %s',
      async (...row) => void (await expectRefused(path, row)),
    );
    it.each(NOT_LEGACY)(
      'refuses a legacy message with %s',
      async (...row) => void (await expectRefused(path, row)),
    );
  });

  it.each(UNKNOWN)(
    'names %s that it does not know',
    async (...row) => void (await expectRefused('/mcp', row)),
  );
  it.each(FOREIGN)('refuses a foreign %s', async (...row) => void (await expectRefused('/mcp', row)));

  it('lists the revisions that it speaks when one is not spoken', async () => {
    const row = NOT_MODERN.find(([fault]) => fault === 'an unknown revision') as Row;
    const { data } = errorOf(await expectRefused('/mcp', row));
    expect(data).toEqual({
      supported: [MODERN, '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'],
      requested: '2099-01-01',
    });
  });

  it('says which methods an endpoint has', async () => {
    const answer = await gateway.ask(head('PUT', '/mcp', { 'Content-Length': '0' }));
    expect(answer?.headers.allow).toBe('POST, GET, DELETE');
  });

  it('answers with the id of the request, where it can be read', async () => {
    const asked = modern((at) => ({ ...good(at), id: 'ü"', method: 'tools/list' }));
    const answer = await gateway.ask(asked(place('/mcp')));
    expect(JSON.parse(Buffer.from(answer?.body ?? '', 'latin1').toString())).toMatchObject({ id: 'ü"' });
    const nameless = await gateway.ask(modern(() => '{')(place('/mcp')));
    expect(JSON.parse(nameless?.body ?? '')).toMatchObject({ id: null });
  });
});
