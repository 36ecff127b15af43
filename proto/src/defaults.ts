const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

/**
 * What a setting is when nobody says otherwise, each with its reason. Keys are paths of the schema below
 * `gateway`, and below one upstream; the comments of the schema repeat the values for readers, and a test
 * compares the two.
 */
export const GATEWAY_DEFAULTS = {
  /** Reachable from this machine only, because nobody is asked who they are until a plugin is there that does. */
  'listen.host': '127.0.0.1',
  /** The usual port of an unprivileged HTTP service. */
  'listen.port': 8080,
  /** One core serves more than most installations ask for; memory grows with each worker. */
  'listen.workers': 1,
  /** The faster one where it loads, and something that serves everywhere else. */
  'listen.listener': 'auto',
  /** As local as the client address. */
  'metrics.host': '127.0.0.1',
  /** As local as the client address. */
  'health.host': '127.0.0.1',
  /** As local as the client address; whoever reaches it may end other people's sessions. */
  'admin.host': '127.0.0.1',
  /** Holds an image or a document as base64 in one call, and little enough to buffer for many callers. */
  'limits.max_body_bytes': 4 * MIB,
  /** What node:http allows too, so that both listeners answer alike. */
  'limits.max_header_bytes': 16 * KIB,
  /** Paths of the gateway are short; only forwarded queries are long. */
  'limits.max_url_bytes': 4 * KIB,
  /** A body of the largest size over a slow mobile line; a sender that trickles is cut after it. */
  'limits.body_timeout': 10 * SECOND_MS,
  /** About 300 MB of sockets and streams at the worst on one worker. */
  'limits.max_connections': 10_000,
  /** No more than connections: one open request each. */
  'limits.max_requests_in_flight': 10_000,
  /** Sixty-four bodies of the largest size; far more of ordinary ones, and little of what a worker's memory is. */
  'limits.max_buffered_bytes': 256 * MIB,
  /** Twice the largest ordinary answer; a reader that lets more pile up is gone or hostile. */
  'limits.max_pending_reply_bytes': 8 * MIB,
  /** Two underscores are in every client's alphabet of tool names, and rare inside one. */
  'naming.separator': '__',
  /** A name that says where it comes from stays the same when another upstream joins. */
  'naming.mode': 'always',
  /** The shortest limit known of a client's model interface. */
  'naming.max_name_length': 64,
  /** Upstreams that cannot announce a change are seen to have changed within a minute. */
  'discovery.interval': 60 * SECOND_MS,
  /** A list is interactive: longer than this, nobody waits for one upstream's part. */
  'discovery.deadline': 5 * SECOND_MS,
  /** Almost every catalogue fits on one page, since many clients never ask for the second. */
  'discovery.page_size': 1000,
  /** Long enough for a person who thinks, short enough that clients which never say DELETE do not pile up. */
  'sessions.idle_timeout': 30 * MINUTE_MS,
  /** As many as connections. */
  'sessions.max_sessions': 10_000,
  /** Covers a dropped connection in the middle of a call that reports progress often. */
  'sessions.replay_messages': 256,
  /** Bounds what one stream may hold back, whatever the size of its messages. */
  'sessions.replay_bytes': 1 * MIB,
  /** Half of the shortest idle limit in common proxies and balancers (30 s). */
  'sessions.keep_alive': 15 * SECOND_MS,
  /** As many as there may be: without an identity plugin all clients are one principal. */
  'sessions.max_sessions_per_principal': 10_000,
  /** Each holds a request open at its server, for a person who thinks. */
  'sessions.max_parked_calls': 1_000,
  /** One caller leaves room for three others as busy. */
  'sessions.max_parked_calls_per_principal': 250,
  /** Sixty-four calls with the most that one may hold back. */
  'sessions.max_parked_bytes': 64 * MIB,
  /** Time to read a form and fill it in, or to sign in elsewhere. */
  'sessions.parked_call_lifetime': 10 * MINUTE_MS,
  /** Where clouds keep the credentials of the machine; nobody runs an MCP server there. */
  'egress.deny': ['169.254.0.0/16', 'fe80::/10'],
  /** What an operator wants to read on an ordinary day. */
  'log.level': 'info',
  /** Shorter than the grace of the usual supervisors (systemd 90 s, Kubernetes 30 s). */
  shutdown_grace: 10 * SECOND_MS,
} as const;

/** Defaults of each use of a plugin; see {@link GATEWAY_DEFAULTS}. */
export const PLUGIN_DEFAULTS = {
  /** A gate that opens when its guard is away is none. */
  on_failure: 'deny',
} as const;

/** Defaults of one upstream; see {@link GATEWAY_DEFAULTS}. */
export const UPSTREAM_DEFAULTS = {
  /** Asking once is cheaper than an operator who has to know. */
  era: 'auto',
  /** The specification's clients give up at about a minute without a sign of life. */
  timeout: 60 * SECOND_MS,
  /** A package runner may have to fetch a server before it speaks. */
  connect_timeout: 10 * SECOND_MS,
  /** Answers are larger than requests: file contents, screenshots, query results. */
  max_message_bytes: 32 * MIB,
  /** Far above what one worker keeps busy, far below what exhausts a server. */
  'http.max_connections': 256,
  /** As for HTTP. */
  'websocket.max_connections': 256,
  /** A client that goes on by itself needs nobody who restarts it. */
  on_session_loss: 'reinitialize',
  /** One process for all: what desktop clients would each start for themselves. */
  'stdio.sharing': 'shared',
  /** A Node.js server takes about 60 MB, so this is about 4 GB at the worst. */
  'stdio.max_processes': 64,
} as const;
