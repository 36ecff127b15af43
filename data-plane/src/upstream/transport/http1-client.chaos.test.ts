import type { Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScriptedUpstream } from './scripted-upstream.js';

/** What the upstream does with a request. */
const BEHAVIOURS = [
  'answer',
  'chunked',
  'late',
  'close-after',
  'close-soon',
  'close',
  'reset',
  'half',
  'excess',
  'garbage',
] as const;
type Behaviour = (typeof BEHAVIOURS)[number];

function act(behaviour: Behaviour, socket: Socket, id: string): void {
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${id.length}\r\n\r\n${id}`;
  switch (behaviour) {
    case 'answer':
      socket.write(answer);
      break;
    case 'chunked':
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      setImmediate(() => socket.write(`${id.length.toString(16)}\r\n${id}\r\n0\r\n\r\n`));
      break;
    case 'late':
      setTimeout(() => socket.write(answer), 5);
      break;
    case 'close-after':
      socket.end(answer.replace('OK\r\n', 'OK\r\nConnection: close\r\n'));
      break;
    case 'close-soon':
      socket.end(answer);
      break;
    case 'close':
      socket.end();
      break;
    case 'reset':
      socket.resetAndDestroy();
      break;
    case 'half':
      socket.end(answer.slice(0, -1));
      break;
    case 'excess':
      socket.write(answer + answer);
      break;
    default:
      socket.write('garbage');
  }
}

describe('whatever an upstream does', () => {
  it('each call hears one outcome, and never the answer to another', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...BEHAVIOURS), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        fc.boolean(),
        async (behaviours, maxConnectionCount, repeatable) => {
          let served = 0;
          const upstream = await ScriptedUpstream.start((socket, request) => {
            const id = request.slice(request.indexOf('\r\n\r\n') + 4);
            act(behaviours[served % behaviours.length] as Behaviour, socket, id);
            served += 1;
          });
          const client = upstream.client({ maxConnectionCount });
          const one = (id: string): Promise<void> =>
            new Promise((resolve, reject) => {
              let outcomes = 0;
              let body = '';
              const over = (): void => {
                outcomes += 1;
                if (outcomes > 1) reject(new Error(`${id} heard more than one outcome`));
                // Later, so that a second outcome would be seen.
                else setImmediate(resolve);
              };
              const headerLines = '';
              client.send(
                { method: 'POST', path: '/', headerLines, body: id, silenceTimeoutMs: 5_000, repeatable },
                {
                  head() {},
                  data(chunk) {
                    body += Buffer.from(chunk).toString();
                  },
                  end() {
                    if (body !== id) reject(new Error(`${id} heard the answer to ${body}`));
                    over();
                  },
                  error: over,
                },
              );
            });
          let next = 0;
          const caller = async (): Promise<void> => {
            while (next < 60) {
              next += 1;
              await one(`call-${next}`);
            }
          };
          await Promise.all([caller(), caller(), caller(), caller()]);
          expect(client.socketCount).toBeLessThanOrEqual(maxConnectionCount);
          await upstream.stop();
          while (client.socketCount > 0) await new Promise((resolve) => setTimeout(resolve, 5));
        },
      ),
      { numRuns: 40 },
    );
  });
});
