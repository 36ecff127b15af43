/** Which callers are given a revision that a rollout gives to a share of them. */
import { createHash } from 'node:crypto';
import type { ResolvedTrial } from '@sluice/proto';
import type { Identity } from '@sluice/sdk';
import { ANONYMOUS } from '../exchange/exchange.js';

/** Bytes of the hash that say where a caller stands. */
const PLACE_BYTES = 6;
const PLACES_COUNT = 2 ** (PLACE_BYTES * 8);

export class PrincipalShare {
  private readonly rollout: string;
  private readonly percent: number;

  constructor({ rollout, principalsPercent }: Pick<ResolvedTrial, 'rollout' | 'principalsPercent'>) {
    this.rollout = rollout;
    this.percent = principalsPercent;
  }

  /**
   * The same for a caller at every request, worker and node. Whoever belongs to a share belongs to every larger one of
   * the same rollout. Those who do not say who they are cannot be told apart, and belong to none.
   */
  takes({ tenant = '', id }: Pick<Identity, 'tenant' | 'id'>): boolean {
    if (id === ANONYMOUS) return false;
    const hash = createHash('sha256')
      .update(JSON.stringify([this.rollout, tenant, id]))
      .digest();
    return (hash.readUIntBE(0, PLACE_BYTES) / PLACES_COUNT) * 100 < this.percent;
  }
}
