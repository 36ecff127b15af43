/** The levels of log messages, least severe first (RFC 5424; 2026-07-28, server/utilities/logging). */
export const LOG_LEVELS: readonly string[] = [
  'debug',
  'info',
  'notice',
  'warning',
  'error',
  'critical',
  'alert',
  'emergency',
];
