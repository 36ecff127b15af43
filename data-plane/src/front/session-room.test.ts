import { expect, it } from 'vitest';
import type { Caller } from '../exchange/exchange.js';
import { type SeatedSession, SessionRoom } from './session-room.js';

const places = { maxSessionCount: 10, maxSessionPerPrincipalCount: 10 };

function roomOf(settings: { maxSessionCount: number; maxSessionPerPrincipalCount: number }) {
  const room = new SessionRoom(() => settings);
  const ended: string[] = [];
  const seat = (name: string, lastUsedAt: number, busy = false, principal = 'somebody') => {
    const caller = { principal } as Caller;
    const session: SeatedSession = {
      caller,
      busy,
      lastUsedAt,
      end: () => {
        ended.push(name);
        room.delete(session);
      },
    };
    room.add(session);
  };
  return { room, ended, seat };
}

it('ends the longest idle session where all places are taken, and a busy one only without an idle one', () => {
  const { room, ended, seat } = roomOf({ ...places, maxSessionCount: 3 });
  seat('busy', 1, true);
  seat('older', 2);
  seat('newer', 3);
  seat('fourth', 4, true);
  seat('fifth', 5, true);
  seat('sixth', 6);
  expect([ended, room.size]).toEqual([['older', 'newer', 'busy'], 3]);
});

it('ends a session of the same principal where that one has as many as it may', () => {
  const { ended, seat } = roomOf({ ...places, maxSessionPerPrincipalCount: 1 });
  seat('other', 1, false, 'somebody else');
  seat('first', 2);
  seat('second', 3);
  expect(ended).toEqual(['first']);
});

it('has as many sessions as a changed configuration says, from the next one on', () => {
  const settings = { ...places };
  const { room, ended, seat } = roomOf(settings);
  for (let count = 0; count < 8; count++) seat(String(count), count, count === 0);
  settings.maxSessionCount = 3;
  seat('new', 8);
  expect(ended).toEqual(['1', '2', '3', '4', '5', '6']);
  settings.maxSessionPerPrincipalCount = 1;
  seat('last', 9);
  expect([ended.slice(6), room.size]).toEqual([['7', 'new', '0'], 1]);
});
