import { expect } from 'vitest';
import type { Feature } from './features.js';
import type { Bench, Pair } from './pair.js';

/**
 * True where a server has no connection that belongs to one client, so that nobody can tell whom a question is for:
 * the server is told that nobody can be asked.
 */
export function isRefused({ asks }: Feature, { server }: Pair): boolean {
  return asks !== undefined && server.era === 'legacy' && server.transport.isShared;
}

/** What the user sees of a question that is refused: the tool says why it could not go on, and nobody was asked. */
export async function checkRefusal({ asks }: Feature, bench: Bench): Promise<void> {
  const [tool, args] = asks as NonNullable<Feature['asks']>;
  const askedBefore = bench.person.asked.length;
  const { isError, content } = await (await bench.client).call(bench.name(tool), args);
  expect(isError).toBe(true);
  expect(content[0]?.text).toContain('did not declare the required capability');
  expect(bench.person.asked.length).toBe(askedBefore);
}
