/** Rates as configurations write them: `rate: 100`, `per: minute`, `burst: 20`. */
import { type ConfigProblem, type Static, Type } from '@sluice/sdk';
import { type Allowance, MAX_FILL_MS, MAX_RATE_PER_SECOND, TICKS_PER_MS } from './bucket-store.js';

const PERIOD_SECONDS = { second: 1, minute: 60, hour: 3_600, day: 86_400 } as const;

/** The members of a rate, for the schema of whatever has one. */
export const RATE = {
  rate: Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'How many pass in each period.' }),
  per: Type.Optional(
    Type.Union([Type.Literal('second'), Type.Literal('minute'), Type.Literal('hour'), Type.Literal('day')], {
      description: 'The period: second, minute (when nothing is said), hour or day.',
    }),
  ),
  burst: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000_000,
      description: 'How many pass at once after a pause; by default as many as the rate says.',
    }),
  ),
};

const Rate = Type.Object(RATE);
export type Rate = Static<typeof Rate>;

export function periodSeconds({ per = 'minute' }: Pick<Rate, 'per'>): number {
  return PERIOD_SECONDS[per];
}

/** Rounded so that never more pass than were asked for. */
export function allowanceOf(rate: Rate): Allowance {
  const intervalTicks = Math.ceil((periodSeconds(rate) * 1_000 * TICKS_PER_MS) / rate.rate);
  return { intervalTicks, burst: rate.burst ?? rate.rate };
}

/** What no bucket can keep. */
export function rateProblems(rate: Rate, path: string): readonly ConfigProblem[] {
  const { intervalTicks, burst } = allowanceOf(rate);
  if (rate.rate / periodSeconds(rate) > MAX_RATE_PER_SECOND)
    return [
      {
        path: `${path}rate`,
        message: `is more than ${MAX_RATE_PER_SECOND} a second`,
        hint: 'leave the limit out, or take a lower one',
      },
    ];
  if ((intervalTicks * burst) / TICKS_PER_MS > MAX_FILL_MS)
    return [
      {
        path: `${path}burst`,
        message: 'takes more than a year to come back at this rate',
        hint: 'take a smaller one',
      },
    ];
  return [];
}
