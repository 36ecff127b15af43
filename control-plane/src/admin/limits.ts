/** What the admin API takes, over either transport. */

/** Largest request: room for a backup of tens of thousands of resources. */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;
/** All header fields together. */
export const MAX_HEADER_BYTES = 16 * 1024;
/** Open connections of each transport. */
export const MAX_CONNECTION_COUNT = 1_000;
/** Time for the header of a request. */
export const HEADER_TIMEOUT_MS = 10_000;
/** Time for a whole request. */
export const REQUEST_TIMEOUT_MS = 60_000;
/** An idle connection is closed after this. */
export const KEEP_ALIVE_MS = 30_000;
/** Time for the handshake of TLS. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How often it is looked for those who are late. */
export const LATENESS_CHECK_INTERVAL_MS = 5_000;
