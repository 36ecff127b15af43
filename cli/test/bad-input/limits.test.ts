import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AttackedGateway, errorOf, LIMITS, LISTENERS } from './attacked-gateway.js';
import { RawConnection } from './raw-connection.js';
import { head, modernCall, modernFields, post } from './requests.js';

const path = '/mcp/modern';
const fields = modernFields('tools/call', 'talkative');
const body = (bytes: number) => {
  const text = JSON.stringify(modernCall('talkative', { pad: '' }));
  return text.replace('"pad":""', `"pad":"${'a'.repeat(bytes - text.length)}"`);
};

/** Slow connections come in number, as an attacker has them. */
const SLOW_CONNECTION_COUNT = 50;

/** More than the gateway may keep for all that is sent here. */
const MOST_GROWTH_BYTES = 96 * 1024 * 1024;

describe.each(LISTENERS)('with the %s listener', (listener) => {
  let gateway: AttackedGateway;
  beforeAll(async () => {
    gateway = await AttackedGateway.start(listener);
  });
  afterAll(() => gateway?.stop());
  afterEach(() => gateway.expectServes());

  async function expectRefused(bytes: string | Buffer, status: number): Promise<void> {
    const connection = await RawConnection.open(gateway.url);
    connection.send(bytes);
    await connection.end();
    const answer = await connection.answer();
    expect(answer?.status).toBe(status);
    expect(answer?.headers.connection).toBe('close');
    expect(errorOf(answer).message).not.toBe('');
    expect(gateway.takeReached()).toEqual([]);
  }

  it('takes what is just within its limits', async () => {
    const bytes = post(
      `${path}?${'a'.repeat(LIMITS.urlBytes - path.length - 1)}`,
      fields,
      body(LIMITS.bodyBytes),
    );
    expect((await gateway.ask(bytes))?.status).toBe(200);
    expect(gateway.takeReached()).toHaveLength(1);
  });

  it('refuses a body over its limit, announced or not', async () => {
    const tooLong = body(LIMITS.bodyBytes + 1);
    await expectRefused(post(path, fields, tooLong), 413);
    await expectRefused(head('POST', path, { ...fields, 'Content-Length': '9'.repeat(15) }), 413);
    const chunk = `${tooLong.length.toString(16)}\r\n${tooLong}\r\n0\r\n\r\n`;
    await expectRefused(head('POST', path, { ...fields, 'Transfer-Encoding': 'chunked' }) + chunk, 413);
  });

  it('refuses a target and header fields over their limits', async () => {
    await expectRefused(head('GET', `/mcp?${'a'.repeat(LIMITS.urlBytes)}`, {}), 414);
    await expectRefused(head('GET', '/mcp', { 'X-A': 'a'.repeat(LIMITS.headerBytes) }), 431);
    const many = Object.fromEntries(Array.from({ length: 97 }, (_, i) => [`X-${i}`, 'a']));
    await expectRefused(head('GET', '/mcp', many), 431);
  });

  it('answers 408 to bodies that come too slowly, and serves others meanwhile', async () => {
    const connections = await Promise.all(
      Array.from({ length: SLOW_CONNECTION_COUNT }, () => RawConnection.open(gateway.url)),
    );
    for (const connection of connections) connection.send(post(path, fields, body(1_000)).subarray(0, -900));
    const trickle = setInterval(() => {
      for (const connection of connections) connection.send('a');
    }, 100);
    await gateway.expectServes();
    const answers = await Promise.all(connections.map((connection) => connection.answer()));
    await Promise.all(connections.map((connection) => connection.end()));
    clearInterval(trickle);
    expect(new Set(answers.map((answer) => answer?.status))).toEqual(new Set([408]));
    expect(gateway.takeReached()).toEqual([]);
  });

  it('ends connections whose heads come too slowly, and serves others meanwhile', async () => {
    const connections = await Promise.all(
      Array.from({ length: SLOW_CONNECTION_COUNT }, () => RawConnection.open(gateway.url)),
    );
    for (const connection of connections) connection.send('POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ');
    const trickle = setInterval(() => {
      for (const connection of connections) connection.send('a');
    }, 500);
    await gateway.expectServes();
    await Promise.all(connections.map((connection) => connection.end()));
    clearInterval(trickle);
    for (const connection of connections) expect((await connection.answer())?.status ?? 408).toBe(408);
  });

  it('keeps little of what it refuses', async () => {
    const before = gateway.residentBytes();
    const filler = Buffer.alloc(1024 * 1024, 'a');
    await Promise.all(
      Array.from({ length: SLOW_CONNECTION_COUNT }, async (_, i) => {
        const connection = await RawConnection.open(gateway.url);
        connection.send(
          i % 2 === 0
            ? head('POST', path, { ...fields, 'Content-Length': String(filler.length * 8) })
            : 'GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ',
        );
        for (let sent = 0; sent < 8; sent++) {
          connection.send(filler);
          await pause(1);
        }
        await connection.end();
      }),
    );
    expect(gateway.residentBytes() - before).toBeLessThan(MOST_GROWTH_BYTES);
    expect(gateway.takeReached()).toEqual([]);
  });

  it('drops a client that does not read its stream, and stops asking the upstream', async () => {
    const before = gateway.residentBytes();
    const tool = 'sends_events_without_end';
    const connections = await Promise.all(Array.from({ length: 5 }, () => RawConnection.open(gateway.url)));
    for (const connection of connections) {
      connection.socket.pause();
      connection.send(post(path, modernFields('tools/call', tool), JSON.stringify(modernCall(tool))));
    }
    await expect
      .poll(() => gateway.modern.reached.filter((each) => each.tool === tool).length, { timeout: 10_000 })
      .toBe(5);
    await expect.poll(() => gateway.modern.openCount, { timeout: 20_000 }).toBe(0);
    expect(gateway.residentBytes() - before).toBeLessThan(MOST_GROWTH_BYTES);
    for (const connection of connections) connection.close();
    gateway.takeReached();
  });
});
