import { request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { plain } from './upstreams.js';

/* "My old client opens a stream and posts beside it, and whoever else comes that way gets nowhere." */

let gateway: RunningGateway;

beforeAll(async () => {
  gateway = await startGateway({ config: { upstreams: [plain('a')] }, workers: 2 });
});
afterAll(() => gateway?.stop());

/** A stream of the old transport, as bytes. */
class Stream {
  text = '';
  readonly ended: Promise<void>;

  private constructor(
    readonly response: Response,
    readonly abort: AbortController,
  ) {
    this.ended = this.read();
  }

  static async open(url: string): Promise<Stream> {
    const abort = new AbortController();
    const response = await fetch(url, { headers: { accept: 'text/event-stream' }, signal: abort.signal });
    return new Stream(response, abort);
  }

  /** Where messages go. */
  async messages(): Promise<string> {
    await expect.poll(() => this.text).toMatch(/^event: endpoint\ndata: .*\n\n/m);
    return new URL(/^data: (.*)$/m.exec(this.text)?.[1] as string, this.response.url).href;
  }

  private async read(): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of this.response.body ?? [])
        this.text += decoder.decode(chunk, { stream: true });
    } catch {
      // Left.
    }
  }
}

/** Posts on a connection of its own, so that the system chooses a worker anew. */
function post(url: string, body: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: 'POST', agent: false, headers: { 'content-type': 'application/json', ...headers } },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode as number));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const ping = (id: number) => JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' });

it('any worker takes what belongs to a stream of another', async () => {
  const stream = await Stream.open(`${gateway.url}/sse/a`);
  const to = await stream.messages();
  const ids = Array.from({ length: 16 }, (_, i) => i + 1);
  expect(new Set(await Promise.all(ids.map((id) => post(to, ping(id)))))).toEqual(new Set([202]));
  const answered = () => ids.filter((id) => stream.text.includes(`"id":${id},"result":{}`));
  await expect.poll(answered).toEqual(ids);
  stream.abort.abort();
});

it('a stream that was left takes nothing more, at any worker', async () => {
  const stream = await Stream.open(`${gateway.url}/sse`);
  const to = await stream.messages();
  stream.abort.abort();
  await stream.ended;
  await expect.poll(() => post(to, ping(1))).toBe(404);
  const statuses = await Promise.all(Array.from({ length: 8 }, (_, i) => post(to, ping(i))));
  expect(new Set(statuses)).toEqual(new Set([404]));
});

it('refuses what does not belong there', async () => {
  const stream = await Stream.open(`${gateway.url}/sse`);
  const to = await stream.messages();
  expect(await post(to, ping(1), { 'content-type': 'text/plain' })).toBe(415);
  expect(await post(to, '{"jsonrpc"')).toBe(400);
  expect(await post(to, ping(1), { origin: 'https://evil.example' })).toBe(403);
  expect(await post(to, 'x'.repeat(5 * 1024 * 1024))).toBe(413);
  expect(await post(`${gateway.url}/messages?session_id=guessed`, ping(1))).toBe(404);
  expect(await post(`${gateway.url}/messages`, ping(1))).toBe(400);
  // Clients of both transports try a POST first, and take this as the answer to try the old way.
  expect(await post(`${gateway.url}/sse`, ping(1))).toBe(405);
  const evil = await fetch(`${gateway.url}/sse`, { headers: { origin: 'https://evil.example' } });
  expect(evil.status).toBe(403);
  const nobody = await fetch(`${gateway.url}/sse/nobody`);
  expect([nobody.status, await nobody.text()]).toEqual([404, expect.stringContaining('no upstream')]);
  stream.abort.abort();
});

it('a stream ends when the gateway stops', async () => {
  const own = await startGateway({ config: { upstreams: [plain('a')] } });
  const stream = await Stream.open(`${own.url}/sse`);
  await post(await stream.messages(), ping(1));
  await own.stop();
  await stream.ended;
  expect(stream.text).toContain('"id":1,"result":{}');
});
