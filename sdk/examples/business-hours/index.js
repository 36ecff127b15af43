// @ts-check
/** Permits calls at certain hours only: an example of the hook `decide`, and of a clock that tests can move. */
import { definePlugin, Refusal, Type } from '@sluice/sdk';

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const HOUR_MS = 3_600_000;

export default definePlugin({
  name: 'business-hours',
  version: '1.0.0',
  description: 'Lets calls through at certain hours of certain days only.',
  phase: 'decision',
  config: Type.Object(
    {
      days: Type.Array(Type.Union(DAYS.map((day) => Type.Literal(day))), {
        default: ['mon', 'tue', 'wed', 'thu', 'fri'],
        description: 'Days on which calls are let through.',
      }),
      from_hour: Type.Integer({ minimum: 0, maximum: 23, default: 8, description: 'First hour of a day.' }),
      to_hour: Type.Integer({
        minimum: 1,
        maximum: 24,
        default: 18,
        description: 'Hour at which a day ends.',
      }),
      utc_offset_hours: Type.Integer({
        minimum: -12,
        maximum: 14,
        default: 0,
        description: 'Hours ahead of UTC.',
      }),
    },
    { additionalProperties: false },
  ),
  reads: [],
  changes: [],
  check: ({ from_hour, to_hour }) =>
    from_hour < to_hour ? [] : [{ path: 'to_hour', message: 'is not later than from_hour' }],
  hooks: ({ days, from_hour, to_hour, utc_offset_hours }, host) => {
    const isOpen = () => {
      const there = new Date(host.clock.now() + utc_offset_hours * HOUR_MS);
      const hour = there.getUTCHours();
      return days.includes(DAYS[there.getUTCDay()]) && hour >= from_hour && hour < to_hour;
    };
    const closed = new Refusal(
      'forbidden',
      `calls are let through on ${days.join(', ')} from ${from_hour}:00 to ${to_hour}:00 (UTC${utc_offset_hours < 0 ? '' : '+'}${utc_offset_hours})`,
    );
    return { decide: () => (isOpen() ? 'permit' : closed) };
  },
});
