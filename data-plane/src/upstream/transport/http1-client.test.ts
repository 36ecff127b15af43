import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { EgressPolicy } from './egress-policy.js';
import type { HttpClient, HttpFailure, HttpRequest, HttpResponseHandler } from './http.js';
import { createHttpClient, type HttpClientOptions } from './http1-client.js';
import { exchange, OK, type Script, ScriptedUpstream } from './scripted-upstream.js';
import { makeTestCertificate } from './test-certificate.js';

const upstreams: ScriptedUpstream[] = [];

afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((upstream) => upstream.stop()));
});

async function start(script: Script, path?: string): Promise<ScriptedUpstream> {
  const upstream = await ScriptedUpstream.start(script, path);
  upstreams.push(upstream);
  return upstream;
}

const NO_BODY: HttpRequest = {
  method: 'GET',
  path: '/',
  headerLines: '',
  body: '',
  silenceTimeoutMs: 0,
  repeatable: false,
};
const SILENT: HttpResponseHandler = { head() {}, data() {}, end() {}, error() {} };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const answerOk: Script = (socket) => socket.write(OK);
/** Answers nothing until it is told. */
function holding(): { script: Script; held: Socket[]; release(): void } {
  const held: Socket[] = [];
  return {
    script: (socket) => held.push(socket),
    held,
    release: () => {
      for (const socket of held.splice(0)) socket.write(OK);
    },
  };
}

describe('a request', () => {
  it('goes out as it was given, in one piece', async () => {
    const upstream = await start(answerOk);
    const client = upstream.client();
    const body = Buffer.from('{"text":"grün"}').toString('latin1');
    await exchange(client, { path: '/mcp?x=1', headerLines: 'A: b\r\nC: d\r\n', body }).done;
    await exchange(client, { method: 'GET', headerLines: '', body: '' }).done;
    await exchange(client, { method: 'DELETE', path: '/other', headerLines: '', body: '' }).done;
    await exchange(client, { headerLines: '', body: '' }).done;
    const host = `Host: 127.0.0.1:${upstream.origin.port}\r\n`;
    expect(upstream.requests).toEqual([
      `POST /mcp?x=1 HTTP/1.1\r\n${host}A: b\r\nC: d\r\nContent-Length: 16\r\n\r\n${body}`,
      `GET /mcp HTTP/1.1\r\n${host}\r\n`,
      `DELETE /other HTTP/1.1\r\n${host}\r\n`,
      `POST /mcp HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\n`,
    ]);
  });

  it('is answered with status, headers and body', async () => {
    const upstream = await start((socket) =>
      socket.write(
        'HTTP/1.1 404 Not Found\r\nMcp-Session-Id: s\r\nX: 1\r\nx: 2\r\nContent-Length: 5\r\n\r\nhello',
      ),
    );
    const answer = await exchange(upstream.client()).done;
    expect(answer).toEqual({
      status: 404,
      headers: { 'mcp-session-id': 's', x: '1, 2', 'content-length': '5' },
      body: 'hello',
      failure: undefined,
      order: ['head', 'data', 'end'],
    });
  });

  it('never follows a redirect', async () => {
    const upstream = await start((socket) =>
      socket.write(
        'HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n',
      ),
    );
    const answer = await exchange(upstream.client()).done;
    expect(answer.status).toBe(307);
    expect(upstream.requests).toHaveLength(1);
  });

  it('refuses a path that could begin a second request', async () => {
    const upstream = await start(answerOk);
    const client = upstream.client();
    for (const path of ['/a b', '/a\r\nX: y', 'mcp', '']) {
      expect(() => client.send({ ...NO_BODY, path }, SILENT)).toThrow(TypeError);
    }
    await exchange(client).done;
    expect(upstream.requests).toHaveLength(1);
  });

  it('carries a body of many megabytes both ways', async () => {
    const upstream = await start((socket, request) => {
      const body = request.slice(request.indexOf('\r\n\r\n') + 4);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`, 'latin1');
    });
    const body = 'x\u00ff'.repeat(4 * 1024 * 1024);
    const answer = await exchange(upstream.client(), { body }).done;
    expect(answer.body === body).toBe(true);
  });

  it('may be answered in chunks that trickle in', async () => {
    const upstream = await start((socket) => {
      const parts = [
        ...'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n1\r\n!\r\n0\r\nT: 1\r\n\r\n',
      ];
      const next = (): void => {
        const part = parts.shift();
        if (part === undefined) return;
        socket.write(part);
        setImmediate(next);
      };
      next();
    });
    const client = upstream.client();
    expect((await exchange(client).done).body).toBe('hello!');
    expect((await exchange(client).done).body).toBe('hello!');
    expect(upstream.sockets).toHaveLength(1);
  });

  it('may be answered until the close', async () => {
    const upstream = await start((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nall of it'));
    const client = upstream.client();
    const answer = await exchange(client).done;
    expect(answer).toMatchObject({ body: 'all of it', order: ['head', 'data', 'end'] });
    expect(client.socketCount).toBe(0);
  });

  it('may be preceded by interim answers and answered without a body', async () => {
    const upstream = await start((socket) =>
      socket.write(
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n',
      ),
    );
    const answer = await exchange(upstream.client()).done;
    expect(answer).toMatchObject({ status: 202, body: '', order: ['head', 'end'] });
  });

  it('streams events as they come, and ends when it is aborted', async () => {
    const upstream = await start((socket) => {
      socket.write(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
      );
      socket.write('9\r\ndata: 1\n\n\r\n');
    });
    const client = upstream.client();
    const { call, answer } = exchange(client, { method: 'GET', body: '' });
    await until(() => answer.body === 'data: 1\n\n');
    upstream.sockets[0]?.write('9\r\ndata: 2\n\n\r\n');
    await until(() => answer.body === 'data: 1\n\ndata: 2\n\n');
    call.abort();
    await until(() => upstream.openSocketCount === 0);
    expect(answer.order).toEqual(['head', 'data']);
    expect(client.socketCount).toBe(0);
    call.abort();
  });
});

describe('the pool', () => {
  it('uses a connection again, also from within end()', async () => {
    const upstream = await start(answerOk);
    const client = upstream.client();
    await new Promise<void>((resolve, reject) => {
      let left = 100;
      const request = {
        method: 'POST',
        path: '/',
        headerLines: '',
        body: '{}',
        silenceTimeoutMs: 1000,
        repeatable: false,
      } as const;
      const handler = {
        head() {},
        data() {},
        error: reject,
        end() {
          left -= 1;
          if (left === 0) resolve();
          else client.send(request, handler);
        },
      };
      client.send(request, handler);
    });
    expect(upstream.sockets).toHaveLength(1);
    expect(upstream.requests).toHaveLength(100);
  });

  it('opens no more than its connections, and serves who waits in order', async () => {
    const { script, held } = holding();
    const upstream = await start(script);
    const client = upstream.client({ maxConnectionCount: 2 });
    const finished: number[] = [];
    const all = Array.from({ length: 6 }, (_, number) =>
      exchange(client).done.then(() => finished.push(number)),
    );
    for (let answered = 0; answered < 6; answered += 1) {
      await until(() => held.length > 0);
      held.shift()?.write(OK);
    }
    await Promise.all(all);
    expect(upstream.sockets).toHaveLength(2);
    expect(finished).toEqual([0, 1, 2, 3, 4, 5]);
    expect(client.socketCount).toBe(2);
  });

  it('says so when too many wait', async () => {
    const { script, held, release } = holding();
    const upstream = await start(script);
    const client = upstream.client({ maxConnectionCount: 1 });
    const exchanges = Array.from({ length: 10 }, () => exchange(client));
    const refused = await (exchanges.at(-1) as (typeof exchanges)[0]).done;
    expect(refused.failure).toMatchObject({ kind: 'connect', neverSent: true });
    expect(refused.failure?.message).toMatch(
      /^nothing was sent to 127\.0\.0\.1:\d+: too many requests at once \(1 connections, 4 requests waiting\)$/,
    );
    const served = exchanges.slice(0, 4);
    for (const _ of served) {
      await until(() => held.length > 0);
      release();
    }
    await Promise.all(served.map((each) => each.done));
    expect(served.map((each) => each.answer.status)).toEqual([200, 200, 200, 200]);
  });

  it('gives up waiting for a connection in time', async () => {
    const upstream = await start(() => {});
    const client = upstream.client({ maxConnectionCount: 1 });
    const first = exchange(client);
    const second = await exchange(client, { silenceTimeoutMs: 50 }).done;
    expect(second.failure).toMatchObject({ kind: 'connect', neverSent: true });
    expect(second.failure?.message).toMatch(/became free in time/);
    expect(first.answer.order).toEqual([]);
  });

  it('forgets a call that is aborted while it waits', async () => {
    const { script, held, release } = holding();
    const upstream = await start(script);
    const client = upstream.client({ maxConnectionCount: 1 });
    const first = exchange(client);
    const second = exchange(client);
    second.call.abort();
    await until(() => held.length === 1);
    release();
    await first.done;
    const third = exchange(client);
    await until(() => held.length === 1);
    release();
    await third.done;
    expect(second.answer.order).toEqual([]);
    expect(upstream.requests).toHaveLength(2);
  });

  it('fails every waiting call when nothing listens', async () => {
    const port = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => {
        const { port: free } = server.address() as AddressInfo;
        server.close(() => resolve(free));
      });
    });
    const client = createHttpClient(
      { protocol: 'http:', hostname: '127.0.0.1', port },
      { maxConnectionCount: 2, connectTimeoutMs: 5_000, policy: new EgressPolicy([], []) },
    );
    const answers = await Promise.all(Array.from({ length: 5 }, () => exchange(client).done));
    for (const answer of answers) {
      expect(answer.failure).toMatchObject({ kind: 'connect', neverSent: true });
      expect(answer.failure?.message).toMatch(/connection refused/);
    }
    expect(client.socketCount).toBe(0);
  });

  it('reports a refusal by the egress rules', async () => {
    const upstream = await start(answerOk);
    const client = upstream.client({ policy: new EgressPolicy(['127.0.0.0/8'], []) });
    expect((await exchange(client).done).failure?.kind).toBe('refused');
    expect(upstream.sockets).toHaveLength(0);
  });

  it.each([
    ['the server says so', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'],
    ['it speaks HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['it announces no time at all', 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n'],
    ['bytes follow the answer', `${OK}HTTP/1.1 200 OK\r\n`],
  ])('does not use a connection again when %s', async (_, text) => {
    const upstream = await start((socket) => socket.write(text));
    const client = upstream.client();
    expect((await exchange(client).done).status).toBe(200);
    expect(client.socketCount).toBe(0);
    await until(() => upstream.openSocketCount === 0);
    expect((await exchange(client).done).status).toBe(200);
    expect(upstream.sockets).toHaveLength(2);
  });

  it('does not use a connection again whose request is answered before it is sent', async () => {
    const upstream = await start(() => {});
    const client = upstream.client();
    const pending = exchange(client, { body: 'x'.repeat(32 * 1024 * 1024) });
    await until(() => upstream.sockets.length === 1);
    upstream.sockets[0]?.pause();
    upstream.sockets[0]?.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
    expect((await pending.done).status).toBe(413);
    expect(client.socketCount).toBe(0);
  });

  it('closes an idle connection before the server does', async () => {
    const upstream = await start((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n'),
    );
    const client = upstream.client();
    await exchange(client).done;
    expect(client.socketCount).toBe(1);
    await until(() => upstream.openSocketCount === 0);
    expect(client.socketCount).toBe(0);
  });

  it('notices at once when an idle connection ends, and when one speaks out of turn', async () => {
    const upstream = await start(answerOk);
    const client = upstream.client();
    for (const act of [
      (s: Socket) => s.end(),
      (s: Socket) => s.resetAndDestroy(),
      (s: Socket) => s.write(OK),
    ]) {
      await exchange(client).done;
      expect(client.socketCount).toBe(1);
      act(upstream.sockets.at(-1) as Socket);
      await until(() => client.socketCount === 0);
    }
    expect((await exchange(client).done).order).toEqual(['head', 'data', 'end']);
    expect(upstream.sockets).toHaveLength(4);
  });

  it('ends idle connections at once on close, and busy ones with their answer', async () => {
    const { script, held, release } = holding();
    const upstream = await start(script);
    const client = upstream.client();
    const first = exchange(client);
    const second = exchange(client);
    await until(() => held.length === 2);
    held.shift()?.write(OK);
    await Promise.race([first.done, second.done]);
    client.close();
    await until(() => client.socketCount === 1);
    release();
    await Promise.all([first.done, second.done]);
    expect([first.answer.status, second.answer.status]).toEqual([200, 200]);
    expect(client.socketCount).toBe(0);
    const late = await exchange(client).done;
    expect(late.failure).toMatchObject({ kind: 'connect' });
    expect(late.failure?.message).toMatch(/its client is closed/);
  });

  it('serves who waits before it closes', async () => {
    const { script, held, release } = holding();
    const upstream = await start(script);
    const client = upstream.client({ maxConnectionCount: 1 });
    const both = [exchange(client), exchange(client)];
    client.close();
    for (const each of both) {
      await until(() => held.length === 1);
      release();
      expect((await each.done).status).toBe(200);
    }
    expect(client.socketCount).toBe(0);
  });
});

describe('a kept-alive connection that turns out dead', () => {
  /** Answers the first request on each connection and breaks it at the second. */
  async function flaky(
    dead: (socket: Socket) => void,
  ): Promise<{ upstream: ScriptedUpstream; client: HttpClient }> {
    const served = new Set<Socket>();
    const upstream = await start((socket) => {
      if (served.has(socket)) dead(socket);
      else {
        served.add(socket);
        socket.write(OK);
      }
    });
    const client = upstream.client();
    await exchange(client).done;
    return { upstream, client };
  }

  it.each<[string, (socket: Socket) => void]>([
    ['closes', (socket) => socket.end()],
    ['breaks', (socket) => socket.resetAndDestroy()],
  ])('is replaced once for a repeatable request when it %s', async (_, dead) => {
    const { upstream, client } = await flaky(dead);
    const answer = await exchange(client, { repeatable: true }).done;
    expect(answer.order).toEqual(['head', 'data', 'end']);
    expect(upstream.requests).toHaveLength(3);
    expect(upstream.sockets).toHaveLength(2);
  });

  it('is replaced for any request of which not a byte has left', async () => {
    const upstream = await start(answerOk);
    const client = upstream.client();
    await exchange(client).done;
    // The kernel knows of the reset before the event loop does.
    upstream.sockets[0]?.resetAndDestroy();
    expect((await exchange(client).done).status).toBe(200);
    expect(upstream.requests).toHaveLength(2);
  });

  it('fails a request that must not be repeated', async () => {
    const { upstream, client } = await flaky((socket) => socket.end());
    const answer = await exchange(client).done;
    expect(answer.failure).toMatchObject({ kind: 'reset', neverSent: false });
    expect(answer.failure?.message).toMatch(/closed the connection without an answer/);
    expect(upstream.requests).toHaveLength(2);
  });

  it('fails a request that was begun to be answered', async () => {
    const { upstream, client } = await flaky((socket) => socket.end('HTTP/1.1'));
    const answer = await exchange(client, { repeatable: true }).done;
    expect(answer.failure).toMatchObject({ kind: 'reset' });
    expect(answer.failure?.message).toMatch(/in the middle of its answer/);
    expect(upstream.requests).toHaveLength(2);
  });

  it('is no excuse for a fresh one that dies too', async () => {
    const upstream = await start((socket, _, number) => {
      if (number === 1 && upstream.requests.length === 1) socket.write(OK);
      else socket.destroy();
    });
    const client = upstream.client();
    await exchange(client).done;
    const answer = await exchange(client, { repeatable: true }).done;
    expect(answer.failure?.kind).toBe('reset');
    expect(upstream.requests).toHaveLength(3);
  });

  it('is replaced although the pool is full and others wait', async () => {
    const served = new Set<Socket>();
    const upstream = await start((socket) => {
      if (served.has(socket)) socket.end();
      else {
        served.add(socket);
        socket.write(OK);
      }
    });
    const client = upstream.client({ maxConnectionCount: 1 });
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => exchange(client, { repeatable: true }).done),
    );
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
    expect(client.socketCount).toBeLessThanOrEqual(1);
  });

  it('hears nothing of an abort while the replacement opens', async () => {
    const upstream = await start((socket) => {
      if (upstream.requests.length === 2) socket.resetAndDestroy();
      else socket.write(OK);
    });
    const gates: (() => void)[] = [];
    const client = createHttpClient(
      { ...upstream.origin, hostname: 'upstream.test' },
      {
        maxConnectionCount: 2,
        connectTimeoutMs: 5_000,
        policy: new EgressPolicy([], []),
        resolve: () => new Promise((resolve) => gates.push(() => resolve(['127.0.0.1']))),
      },
    );
    const first = exchange(client);
    gates.shift()?.();
    await first.done;
    const aborted = exchange(client, { repeatable: true });
    await until(() => gates.length === 1);
    aborted.call.abort();
    gates.shift()?.();
    await until(() => upstream.sockets.length === 2);
    expect((await exchange(client).done).status).toBe(200);
    expect(aborted.answer.order).toEqual([]);
    expect(upstream.requests).toHaveLength(3);
    client.close();
  });
});

describe('handlers that throw', () => {
  const fail = (): never => {
    throw new Error('bug');
  };

  it.each(['head', 'data', 'end'] as const)('in %s() cost their own call only', async (name) => {
    const upstream = await start(answerOk);
    const errors: unknown[] = [];
    const client = upstream.client({ onHandlerError: (error) => errors.push(error) });
    const failures: HttpFailure[] = [];
    client.send(NO_BODY, { ...SILENT, error: (failure) => failures.push(failure), [name]: fail });
    await until(() => errors.length === 1);
    expect(errors).toEqual([new Error('bug')]);
    expect(failures.map((failure) => failure.kind)).toEqual(name === 'end' ? [] : ['reset']);
    expect((await exchange(client).done).status).toBe(200);
  });

  it('in error() are reported', async () => {
    const upstream = await start((socket) => socket.end('garbage'));
    const errors: unknown[] = [];
    const client = upstream.client({ onHandlerError: (error) => errors.push(error) });
    client.send(NO_BODY, { ...SILENT, error: fail });
    await until(() => errors.length === 1);
  });

  it('may abort from within head() and data()', async () => {
    const upstream = await start(answerOk);
    const client = upstream.client();
    for (const place of ['head', 'data'] as const) {
      const seen: string[] = [];
      const call = client.send(NO_BODY, {
        head() {
          seen.push('head');
          if (place === 'head') call.abort();
        },
        data() {
          seen.push('data');
          call.abort();
        },
        end: () => seen.push('end'),
        error: () => seen.push('error'),
      });
      await until(() => seen.length > 0 && client.socketCount === 0);
      expect(seen.at(-1)).toBe(place);
    }
  });
});

describe('other transports', () => {
  it('reach a Unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-http-'));
    const upstream = await start(answerOk, join(folder, 'up.sock'));
    const client = upstream.client();
    expect((await exchange(client).done).body).toBe('{}');
    expect((await exchange(client).done).body).toBe('{}');
    expect(upstream.sockets).toHaveLength(1);
    expect(upstream.requests[0]).toContain('\r\nHost: localhost\r\n');
    await upstream.stop();
    upstreams.length = 0;
    rmSync(folder, { recursive: true });
  });

  it('reach a TLS server over kept-alive connections', async () => {
    const certificate = makeTestCertificate(['127.0.0.1']);
    const accepted: Socket[] = [];
    const server = createTlsServer({ ...certificate }, (socket) => {
      accepted.push(socket.on('error', () => {}));
      socket.on('data', () => socket.write(OK));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const options: HttpClientOptions = {
      maxConnectionCount: 2,
      connectTimeoutMs: 5_000,
      policy: new EgressPolicy([], []),
      certificateAuthorities: certificate.cert,
    };
    const { port } = server.address() as AddressInfo;
    const client = createHttpClient({ protocol: 'https:', hostname: '127.0.0.1', port }, options);
    for (let count = 0; count < 3; count += 1) expect((await exchange(client).done).body).toBe('{}');
    expect(accepted).toHaveLength(1);
    accepted[0]?.destroy();
    await until(() => client.socketCount === 0);
    client.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it('agree with the HTTP server of Node.js', async () => {
    const server = createHttpServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        response.setHeader('X-Url', String(request.url));
        for (const chunk of chunks) response.write(chunk);
        response.end(request.method);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const client = createHttpClient(
      { protocol: 'http:', hostname: 'localhost', port },
      { maxConnectionCount: 4, connectTimeoutMs: 5_000, policy: new EgressPolicy([], []) },
    );
    const answers = await Promise.all(
      Array.from(
        { length: 16 },
        (_, number) => exchange(client, { path: `/${number}`, body: `body ${number}` }).done,
      ),
    );
    answers.forEach((answer, number) => {
      expect(answer).toMatchObject({
        status: 200,
        body: `body ${number}POST`,
        headers: { 'x-url': `/${number}` },
      });
    });
    expect(client.socketCount).toBe(4);
    client.close();
    await new Promise((resolve) => server.close(resolve));
  });
});
