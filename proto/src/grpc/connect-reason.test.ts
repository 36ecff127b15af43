import { expect, it } from 'vitest';
import { connectReason } from './index.js';

it.each([
  [
    'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ',
    'connect ECONNREFUSED 127.0.0.1:1',
  ],
  [
    '14 UNAVAILABLE: No connection established. Last error: self-signed certificate. Resolution note: none',
    'self-signed certificate',
  ],
  [
    'No connection established. Last error: 80FC:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/rec_layer_s3.c:1601:SSL alert number 116\n (2026-11-21T16:50:09.057Z). Resolution note: ',
    'it asks for a client certificate',
  ],
  [
    'No connection established. Last error: 80FC:error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:../deps/rec_layer_s3.c:1601:SSL alert number 48\n (2026-11-21T16:50:09.057Z)',
    'TLS failed: tlsv1 alert unknown ca',
  ],
  ['the token is none that is known here', 'the token is none that is known here'],
])('%j says %j', (details, reason) => {
  expect(connectReason(details)).toBe(reason);
});
