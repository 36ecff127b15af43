/**
 * Lets pages of other origins use an endpoint from a browser (Fetch standard, "CORS protocol"). Which origins may come
 * in at all is the gateway's own rule (`gateway.listen.allowed_origins`), and stands in front of this one: an origin
 * has to be in both.
 */
import {
  type ConfigProblem,
  Duration,
  definePlugin,
  durationMs,
  type HeadControl,
  type PageAnswer,
  Refusal,
  Type,
} from '@sluice/sdk';

/** Characters of a field name or a method (RFC 9110, section 5.6.2). */
const TOKEN = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$";
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\"',]+$/;
/** Fields that repeat parameters of a tool (2026-07-28, streamable HTTP, "Custom Headers from Tool Parameters"). */
const PARAM_FIELD = /^mcp-param-[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
/** As many of them are taken as a request can have header fields. */
const MAX_PARAM_FIELD_COUNT = 96;
/** Longest part of an origin that a refusal repeats. */
const MAX_TOLD_LENGTH = 100;

const Names = (values: readonly string[], description: string) =>
  Type.Array(Type.String({ pattern: TOKEN }), { default: [...values], maxItems: 64, description });

const Config = Type.Object(
  {
    allowed_origins: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
      minItems: 1,
      maxItems: 1_000,
      description:
        'Origins of pages as browsers send them, for example https://app.example.com; * alone for any.',
    }),
    allowed_methods: Names(['GET', 'POST', 'DELETE'], 'HTTP methods that pages may use.'),
    allowed_headers: Names(
      [
        'Authorization',
        'Content-Type',
        'Last-Event-ID',
        'Mcp-Method',
        'Mcp-Name',
        'MCP-Protocol-Version',
        'Mcp-Session-Id',
        'X-API-Key',
      ],
      'Header fields that pages may send, beside Mcp-Param-*.',
    ),
    exposed_headers: Names(
      ['Mcp-Session-Id', 'RateLimit', 'RateLimit-Policy', 'Retry-After', 'WWW-Authenticate'],
      'Header fields of answers that pages may read.',
    ),
    allow_credentials: Type.Boolean({
      default: false,
      description:
        'Whether browsers send cookies and client certificates along; Authorization does not need it.',
    }),
    max_age: Duration({
      default: '10m',
      description: 'How long a browser remembers the answer to a preflight.',
    }),
  },
  { additionalProperties: false },
);

interface Ctx {
  readonly headers: {
    readonly origin: string | undefined;
    readonly 'access-control-request-method': string | undefined;
    readonly 'access-control-request-headers': string | undefined;
  };
  readonly httpMethod: string;
  /** By which the client calls the gateway. */
  readonly origin: string;
}

export default definePlugin({
  name: 'cors',
  version: '1.0.0',
  description: 'Lets pages of other origins use an endpoint from a browser.',
  phase: 'door',
  config: Config,
  reads: [
    'headers.access-control-request-headers',
    'headers.access-control-request-method',
    'headers.origin',
    'httpMethod',
    'origin',
  ],
  changes: [],

  check: ({ allowed_origins, allow_credentials }) => [
    ...allowed_origins.flatMap((origin, index) => originProblem(origin, index, allowed_origins.length)),
    ...(allow_credentials && allowed_origins.includes('*')
      ? [
          {
            path: 'allow_credentials',
            message: 'cannot be true for every origin',
            hint: 'name the origins instead of *',
          },
        ]
      : []),
  ],

  hooks(config) {
    const { allowed_origins, allowed_methods, allowed_headers, exposed_headers, allow_credentials } = config;
    const isAny = allowed_origins.includes('*');
    const origins = new Set(allowed_origins);
    const methods = allowed_methods.join(', ');
    const fields = allowed_headers.join(', ');
    const exposed = exposed_headers.join(', ');
    const maxAgeSeconds = String(Math.floor(durationMs(config.max_age) / 1_000));

    function head(ctx: Ctx, control: HeadControl): Refusal | PageAnswer | undefined {
      const { origin } = ctx.headers;
      // What is cached for one page is not for another, nor for a client that is none (Fetch standard, "CORS protocol
      // and HTTP caches").
      if (!isAny) control.setHeader('Vary', 'Origin');
      if (origin === undefined) return undefined;
      if (!isAny && !origins.has(origin)) return origin === ctx.origin ? undefined : refused(origin);
      control.setHeader('Access-Control-Allow-Origin', isAny ? '*' : origin);
      if (allow_credentials) control.setHeader('Access-Control-Allow-Credentials', 'true');
      if (ctx.httpMethod === 'OPTIONS' && ctx.headers['access-control-request-method'] !== undefined)
        return preflight(ctx.headers['access-control-request-headers'] ?? '');
      if (exposed !== '') control.setHeader('Access-Control-Expose-Headers', exposed);
      return undefined;
    }

    function preflight(wanted: string): PageAnswer {
      const params = wanted
        .toLowerCase()
        .split(',', MAX_PARAM_FIELD_COUNT)
        .map((name) => name.trim())
        .filter((name) => PARAM_FIELD.test(name));
      return {
        status: 204,
        headers: [
          ['Access-Control-Allow-Methods', methods],
          ['Access-Control-Allow-Headers', [fields, ...params].filter((each) => each !== '').join(', ')],
          ['Access-Control-Max-Age', maxAgeSeconds],
          ['Vary', 'Access-Control-Request-Headers'],
        ],
        body: '',
      };
    }

    return { head };
  },
});

/** A page that may not read the answer might still have done something by asking. */
function refused(origin: string): Refusal {
  const told = JSON.stringify(origin.slice(0, MAX_TOLD_LENGTH));
  return new Refusal('forbidden', `pages of the Origin ${told} may not use this endpoint`);
}

function originProblem(origin: string, index: number, count: number): ConfigProblem[] {
  const path = `allowed_origins[${index}]`;
  const hint = 'write it as browsers do, for example https://app.example.com or http://localhost:5173';
  if (origin === '*')
    return count === 1 ? [] : [{ path, message: 'stands alone or not at all', hint: 'leave the others out' }];
  if (origin === 'null')
    return [{ path, message: 'is what every sandboxed page sends, so it names nobody', hint }];
  if (origin.includes('*')) return [{ path, message: 'holds a *, and origins have no patterns', hint }];
  if (!ORIGIN.test(origin)) return [{ path, message: 'is no origin', hint }];
  // Browsers leave out the usual port and write names in lower case and ASCII.
  const written = /^https?:/.test(origin) ? originOf(origin) : origin;
  return written === origin ? [] : [{ path, message: 'is not how browsers write it', hint: written ?? hint }];
}

function originOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).origin : undefined;
}
