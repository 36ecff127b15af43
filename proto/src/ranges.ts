/** Least and greatest value of a setting, both allowed; durations in milliseconds, sizes in bytes. */
export interface SettingRange {
  readonly min: number;
  readonly max: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** What a TCP port can be; 0 lets the system choose. */
const PORT: SettingRange = { min: 0, max: 65_535 };

/** Timers of Node.js hold a signed 32-bit count of milliseconds (24.8 days), and fire at once beyond it. */
const LONGEST_TIMER_MS = 24 * 24 * 60 * 60 * 1000;

/** Any time that a timer can hold. */
const DURATION: SettingRange = { min: 1, max: LONGEST_TIMER_MS };

/** Work that repeats: more often than this it would be a load of its own. */
const PERIOD: SettingRange = { min: 100, max: LONGEST_TIMER_MS };

/** More than this in one string comes close to what the JavaScript engine can hold at all (512 MiB). */
const LARGEST_MESSAGE_BYTES = 256 * MIB;

/** Enough for any machine; more is a mistyped number. */
const COUNT: SettingRange = { min: 1, max: 1_000_000 };

/** Ranges of the settings below `gateway`. */
export const GATEWAY_RANGES: Readonly<Record<string, SettingRange>> = {
  'listen.port': PORT,
  /** Each worker is a thread with a heap of its own. */
  'listen.workers': { min: 1, max: 256 },
  'metrics.port': PORT,
  'health.port': PORT,
  'admin.port': PORT,
  /** Below 1 KiB not even an ordinary `initialize` fits. */
  'limits.max_body_bytes': { min: KIB, max: LARGEST_MESSAGE_BYTES },
  /** The upper end stays below the buffers of both listeners, so that the gateway answers and not they. */
  'limits.max_header_bytes': { min: KIB, max: 64 * KIB },
  /** As for headers. */
  'limits.max_url_bytes': { min: 256, max: 64 * KIB },
  'limits.body_timeout': DURATION,
  'limits.max_connections': COUNT,
  'limits.max_requests_in_flight': COUNT,
  'limits.max_buffered_bytes': { min: MIB, max: 4095 * MIB },
  'limits.max_pending_reply_bytes': { min: 64 * KIB, max: LARGEST_MESSAGE_BYTES },
  /** The shortest that still holds a digest and something to recognise; the longest that MCP allows. */
  'naming.max_name_length': { min: 24, max: 128 },
  'discovery.interval': PERIOD,
  'discovery.deadline': DURATION,
  'discovery.page_size': { min: 1, max: 10_000 },
  'sessions.idle_timeout': PERIOD,
  'sessions.max_sessions': COUNT,
  'sessions.replay_messages': { min: 1, max: 100_000 },
  'sessions.replay_bytes': { min: KIB, max: LARGEST_MESSAGE_BYTES },
  'sessions.keep_alive': PERIOD,
  'sessions.max_sessions_per_principal': COUNT,
  'sessions.max_parked_calls': COUNT,
  'sessions.max_parked_calls_per_principal': COUNT,
  'sessions.max_parked_bytes': { min: 64 * KIB, max: 1024 * MIB },
  'sessions.parked_call_lifetime': PERIOD,
  /** Zero ends at once. */
  shutdown_grace: { min: 0, max: LONGEST_TIMER_MS },
};

/** Ranges of the settings of one upstream; see {@link GATEWAY_RANGES}. */
export const UPSTREAM_RANGES: Readonly<Record<string, SettingRange>> = {
  timeout: DURATION,
  connect_timeout: DURATION,
  max_message_bytes: { min: KIB, max: LARGEST_MESSAGE_BYTES },
  'http.max_connections': { min: 1, max: 65_535 },
  'websocket.max_connections': { min: 1, max: 65_535 },
  'stdio.max_processes': { min: 1, max: 10_000 },
};
