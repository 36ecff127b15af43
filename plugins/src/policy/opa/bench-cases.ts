/** What OPA costs beside the rules: the gateway's part of a request to it, and a decision that is kept. */
import type { BenchCase } from '../../bench-case.js';

const rest = { url: 'http://127.0.0.1:8181/v1/data/sluice/decision' };
const fetch = () => ({ status: 200, headers: {}, text: '{"result":{"allow":true}}' });
const isAsExpected: BenchCase['isAsExpected'] = ({ outcome, reached }) =>
  outcome?.errorCode === 0 && reached !== undefined;

export const OPA_CASES: readonly BenchCase[] = [
  { name: 'OPA, a decision that is kept', stage: 'call', config: { opa: { rest } }, fetch, isAsExpected },
  {
    name: 'OPA over REST, without the network',
    stage: 'call',
    config: { opa: { rest, cache: { ttl: '0s' } } },
    fetch,
    isAsExpected,
  },
];
