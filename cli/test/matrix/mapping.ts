/** What becomes what between the eras, in words: the part of the page that a test cannot say by itself. */

/** A row: what it is about, what the client sees of it, and what the server sees. */
type Row = readonly [what: string, client: string, server: string];

export const MODERN_TO_LEGACY: readonly (readonly [group: string, rows: readonly Row[]])[] = [
  [
    'Who is there',
    [
      ['introduction', '`server/discover`, answered here', 'what it said at `initialize`'],
      [
        'revision',
        '`supportedVersions` names all that the gateway speaks',
        '2025-11-25 is offered, and what it settles on is spoken',
      ],
      [
        'client capabilities',
        'on each request',
        'at `initialize` of a session for each principal and set of capabilities, or none at all where a connection is shared',
      ],
      ['state of a session', 'none', 'shared by modern clients of the same principal and capabilities'],
    ],
  ],
  [
    'Calls and reading',
    [
      ['request', 'with its `_meta` of 2026-07-28', 'without it; ids and progress tokens are made here'],
      [
        'result',
        '`resultType: complete`, `serverInfo`, and for lists and resources `ttlMs: 0` and `cacheScope: private`, added here',
        'as the server gave it',
      ],
      ['resource not found', '-32602, with `data.uri` as the server gave it', '-32002'],
      ['cancellation', 'over HTTP the stream is closed', '`notifications/cancelled`'],
      [
        'log',
        'only with `logLevel` in `_meta`, and none below it',
        '`logging/setLevel` with the lowest level that anyone asked for, or `info` where that is lower',
      ],
    ],
  ],
  [
    'Questions',
    [
      [
        'elicitation, sampling, roots',
        '`input_required` with a sealed `requestState`; the retry brings the answers',
        'a request on the stream of the call, which stays open meanwhile',
      ],
      ['names of the questions', 'made here: `elicitation-1`', 'none'],
      ['page (URL elicitation)', 'without `elicitationId`', 'with it'],
      ['page first', '`input_required`; the retry is a new call', 'error -32042'],
    ],
  ],
  [
    'Changes',
    [
      ['lists', '`subscriptions/listen`', 'one GET stream for all, or the pipe'],
      ['resources', '`resourceSubscriptions`', '`resources/subscribe` once for all who watch'],
    ],
  ],
];

export const LEGACY_TO_MODERN: readonly (readonly [group: string, rows: readonly Row[]])[] = [
  [
    'Who is there',
    [
      ['introduction', '`initialize`, answered here', 'what it said to `server/discover`'],
      ['`ping`', 'answered here', 'nothing'],
      ['client capabilities', 'at `initialize`', 'on each request'],
    ],
  ],
  [
    'Calls and reading',
    [
      [
        'request',
        'as it came',
        'with `_meta`, and over HTTP with `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*`, made from the body',
      ],
      [
        'headers that the server takes for wrong',
        'nothing: the list of tools is read again, and the request sent once more',
        'error -32020',
      ],
      ['batch (2025-03-26)', 'one POST', 'as many requests'],
      ['result', 'without `resultType`, `ttlMs` and `cacheScope`', 'with them'],
      ['audio, links to resources', 'as text, for a revision that lacks them', 'as they are'],
      ['structured content', 'only where it is an object; the text stays', 'any JSON'],
      ['resource not found', '-32002', '-32602 with `data.uri`'],
      [
        'cancellation',
        '`notifications/cancelled`; to go away cancels nothing',
        'over HTTP the stream is closed',
      ],
      ['log', '`logging/setLevel`, answered here', '`logLevel` on each request, `info` until it was set'],
      ['HTTP status', '200 with the error', '404 for an unknown method, 400 for a bad request'],
    ],
  ],
  [
    'Questions',
    [
      [
        'elicitation, sampling, roots',
        'requests on the stream of the call',
        '`input_required`; the answers become the retry, with its `requestState` byte for byte',
      ],
      ['a round that only brings a state', 'nothing', 'the retry after 200 ms'],
      ['page (URL elicitation)', 'with an `elicitationId`, made here', 'without it'],
    ],
  ],
  [
    'Changes',
    [
      ['lists', 'the GET stream', '`subscriptions/listen`'],
      ['resources', '`resources/subscribe`', 'the same subscription, renewed with the resource in it'],
      ['a stream that broke', '`Last-Event-ID`', 'nothing: what was missed is kept here'],
    ],
  ],
];
