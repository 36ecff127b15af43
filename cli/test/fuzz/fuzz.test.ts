import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../fixture/start.js';
import { readAnswers } from './answers.js';
import { bytesOf, readCorpus } from './corpus.js';
import { FuzzedGateway } from './fuzzed-gateway.js';
import { mutated } from './mutate.js';
import { Random } from './random.js';

/*
 * Sends requests with something wrong in them to the gateway, each on a connection of its own, and looks for what
 * no input may do: end the process, cost an exception, hang, or be called the server's fault.
 *
 * SLUICE_FUZZ_SEED runs the cases of one seed again, SLUICE_FUZZ_CASE only one of them. What is found goes into the
 * corpus as a request of its own, so that it stays found.
 */

const isFull = process.env.SLUICE_TEST_FULL === '1';
const FUZZ_MS = isFull ? 180_000 : 6_000;
const SEED = Number(process.env.SLUICE_FUZZ_SEED ?? Date.now() % 2 ** 31);
const ONLY_CASE = process.env.SLUICE_FUZZ_CASE;

/** Cases under way at once, for each gateway. */
const LANE_COUNT = 32;
/** After so many cases a good request has to succeed, and sessions are begun anew. */
const CASES_BETWEEN_CHECKS = 500;
/** A client that has heard nothing for this long says that no more will come. */
const QUIET_MS = 80;
/** In this time it has to be answered or ended in this time, which is longer than any timeout of the gateway. */
const END_LIMIT_MS = 20_000;
const TEST_LIMIT_MS = FUZZ_MS + END_LIMIT_MS + 60_000;

const corpus = readCorpus();
let fixtures: Fixture[] = [];
beforeAll(async () => {
  fixtures = await Promise.all([startFixture({ era: 'modern' }), startFixture({ era: 'legacy' })]);
});
afterAll(() => Promise.all(fixtures.map((fixture) => fixture.stop())));

/** The bytes of a case, in the pieces in which they go out. */
function piecesOf(gateway: FuzzedGateway, index: number): { pieces: Buffer[]; leaves: boolean } {
  const random = new Random(SEED + index * 7_919);
  let bytes = mutated(corpus, gateway, random);
  if (random.oneIn(12)) {
    const second = mutated(corpus, gateway, random);
    // node:http puts the 100 of a request that waits behind another into the middle of its answer.
    if (!second.includes('Expect')) bytes = Buffer.concat([bytes, second]);
  }
  const pieces: Buffer[] = [];
  if (random.oneIn(4)) {
    for (let count = random.below(5); count > 0; count--) {
      const at = random.below(bytes.length + 1);
      pieces.push(bytes.subarray(0, at));
      bytes = bytes.subarray(at);
    }
  }
  return { pieces: [...pieces, bytes], leaves: random.oneIn(20) };
}

/** Sends one case. Resolves with what was wrong with the outcome, or undefined. */
async function run(
  url: string,
  { pieces, leaves }: { pieces: Buffer[]; leaves: boolean },
): Promise<string | undefined> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true }).setNoDelay(true);
  const sent = inOneText(pieces);
  let received = '';
  let isOver = false;
  const over = new Promise<void>((resolve) => {
    const limit = setTimeout(resolve, END_LIMIT_MS);
    let quiet = setTimeout(() => socket.end(), QUIET_MS);
    const end = () => {
      clearTimeout(quiet);
      clearTimeout(limit);
      resolve();
    };
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      clearTimeout(quiet);
      const { count, isWhole, fault } = readAnswers(received, false, sent);
      if (fault !== undefined || (isWhole && count === 1)) end();
      else quiet = setTimeout(() => socket.end(), QUIET_MS);
    });
    for (const event of ['end', 'close', 'error']) {
      socket.on(event, () => {
        isOver = true;
        end();
      });
    }
  });
  for (const [i, piece] of pieces.entries()) {
    if (i > 0) await new Promise((resolve) => setImmediate(resolve));
    if (!socket.destroyed) socket.write(piece);
  }
  if (leaves) socket.destroy();
  await over;
  socket.destroy();
  const { count, fault } = readAnswers(received, isOver, sent);
  if (fault !== undefined) return fault;
  return isOver || count > 0 ? undefined : 'it was neither answered nor ended';
}

function inOneText(pieces: readonly Buffer[]): string {
  return Buffer.concat(pieces).toString('latin1');
}

/** Sends cases until the time is over. */
async function fuzz(gateway: FuzzedGateway): Promise<void> {
  const until = Date.now() + FUZZ_MS;
  const [first, last] =
    ONLY_CASE === undefined ? [0, Number.MAX_SAFE_INTEGER] : [Number(ONLY_CASE), Number(ONLY_CASE)];
  let next = first;
  while (Date.now() < until && next <= last) {
    const begin = next;
    const end = Math.min(begin + CASES_BETWEEN_CHECKS, last + 1);
    const faults: string[] = [];
    const lane = async () => {
      while (next < end && faults.length === 0 && Date.now() < until) {
        const index = next++;
        const sent = piecesOf(gateway, index);
        const fault = await run(gateway.url, sent);
        if (fault === undefined) continue;
        faults.push(
          `seed ${SEED}, case ${index}: ${fault}\nIt sent ${JSON.stringify(inOneText(sent.pieces))}`,
        );
      }
    };
    await Promise.all(Array.from({ length: LANE_COUNT }, lane));
    expect(faults.join('\n\n')).toBe('');
    await gateway.check(`seed ${SEED}, cases ${begin} to ${next - 1}`);
  }
}

it('takes every request of the corpus', async () => {
  const gateway = await FuzzedGateway.start(fixtures, 'uws');
  for (const seed of corpus) {
    const bytes = bytesOf(seed, gateway);
    expect([seed.name, await run(gateway.url, { pieces: [bytes], leaves: false })]).toEqual([
      seed.name,
      undefined,
    ]);
    await gateway.check(seed.name);
  }
  await gateway.stop();
});

// All at once, because most of the time goes by with waiting.
it.concurrent.each([
  { listener: 'uws', workers: 1 },
  { listener: 'uws', workers: 2 },
  { listener: 'node', workers: 1 },
] as const)(
  'nothing breaks the gateway with the $listener listener and $workers worker(s)',
  async ({ listener, workers }) => {
    const gateway = await FuzzedGateway.start(fixtures, listener, workers);
    await fuzz(gateway);
    await gateway.expectIdle();
    await gateway.stop();
  },
  TEST_LIMIT_MS,
);
