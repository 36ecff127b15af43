/** What commands do with a file of audit records. */
export { AuditFile, CHECKPOINT_DEFAULTS, openForReading } from './audit-file.js';
export { addHold, erase, type Hold, holdsOf, removeHold, retain } from './erasure.js';
export { otlpLogs, syslogMessage } from './formats.js';
export { asJson, type RecordFilter, recordsOf, type StoredRecord } from './records.js';
export { receivedBatch } from './sent-batch.js';
export { keyFileOf, publicKeyIn, signingKey } from './signing-key.js';
export { type Verification, verifyFile } from './verification.js';
