/** Takes no request that is larger, deeper or of another kind than an endpoint is meant for. */
import {
  type Attribute,
  definePlugin,
  type HeadControl,
  type MaybePromise,
  type Outcome,
  type PageAnswer,
  Refusal,
  Size,
  sizeBytes,
  Type,
} from '@sluice/sdk';
import { type Limits as ArgumentLimits, measure } from './measure.js';

const Bytes = (description: string) =>
  Type.Optional(Size({ description: `${description} For example 64KiB.` }));
const Count = (maximum: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum, description }));

const Config = Type.Object(
  {
    max_body_bytes: Bytes('Largest body of a request; `gateway.limits` holds beside it.'),
    max_header_count: Count(1_000, 'Most header fields of a request.'),
    max_header_bytes: Bytes('Largest sum of names and values of header fields.'),
    max_header_value_bytes: Bytes('Largest value of one header field.'),
    http_methods: Type.Optional(
      Type.Array(Type.Union([Type.Literal('GET'), Type.Literal('POST'), Type.Literal('DELETE')]), {
        minItems: 1,
        uniqueItems: true,
        description: 'HTTP methods that are taken; OPTIONS is always left to others.',
      }),
    ),
    max_arguments_bytes: Bytes('Largest arguments of a call, as JSON without spaces.'),
    max_arguments_depth: Count(1_000, 'How deep objects and lists of arguments are nested at most.'),
    max_arguments_values: Count(100_000_000, 'Most values in arguments, those in objects and lists too.'),
    max_string_bytes: Bytes('Longest text in arguments.'),
  },
  { additionalProperties: false },
);

interface Ctx {
  readonly arguments: unknown;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly httpMethod: string;
}

interface HeaderLimits {
  readonly max_header_count?: number;
  readonly max_header_bytes?: number | string;
  readonly max_header_value_bytes?: number | string;
}

export default definePlugin({
  name: 'request-limit',
  version: '1.0.0',
  description: 'Takes no request that is larger, deeper or of another kind than it should be.',
  phase: 'door',
  config: Config,
  // Nobody pays for what is not limited: arguments are parsed when somebody reads them.
  reads: (config): readonly Attribute[] => [
    ...(limitsHeaders(config) ? (['headers'] as const) : []),
    ...(config.http_methods === undefined ? [] : (['httpMethod'] as const)),
    ...(limitsArguments(config) === undefined ? [] : (['arguments'] as const)),
  ],
  changes: [],

  check: (config) =>
    Object.keys(config).length > 0
      ? []
      : [{ path: '', message: 'limits nothing', hint: 'for example max_body_bytes: 65536' }],

  hooks(config) {
    const { max_body_bytes, http_methods } = config;
    const limits = limitsArguments(config);
    const hasHeaderLimits = limitsHeaders(config);
    const maxBodyBytes = max_body_bytes === undefined ? undefined : sizeBytes(max_body_bytes);
    const maxHeaders = {
      count: config.max_header_count ?? Number.POSITIVE_INFINITY,
      bytes: bytesOf(config.max_header_bytes),
      valueBytes: bytesOf(config.max_header_value_bytes),
    };
    const isTaken = http_methods === undefined ? undefined : new Set<string>([...http_methods, 'OPTIONS']);

    function head(ctx: Ctx, control: HeadControl): Refusal | PageAnswer | undefined {
      if (isTaken !== undefined && !isTaken.has(ctx.httpMethod)) return notTaken(http_methods as string[]);
      if (maxBodyBytes !== undefined) control.limitBody(maxBodyBytes);
      return hasHeaderLimits ? headersProblem(ctx.headers, maxHeaders) : undefined;
    }

    function exchange(ctx: Ctx, next: () => MaybePromise<Outcome>): MaybePromise<Outcome | Refusal> {
      const problem = measure(ctx.arguments, limits as ArgumentLimits);
      return problem === undefined ? next() : new Refusal('tooLarge', `the arguments ${problem}`);
    }

    const hooks = hasHeaderLimits || isTaken !== undefined || maxBodyBytes !== undefined ? { head } : {};
    return limits === undefined ? hooks : { ...hooks, exchange };
  },
});

function limitsHeaders({
  max_header_count,
  max_header_bytes,
  max_header_value_bytes,
}: HeaderLimits): boolean {
  return [max_header_count, max_header_bytes, max_header_value_bytes].some((limit) => limit !== undefined);
}

/** Undefined when nothing about arguments is limited. */
function limitsArguments(config: {
  readonly max_arguments_bytes?: number | string;
  readonly max_arguments_depth?: number;
  readonly max_arguments_values?: number;
  readonly max_string_bytes?: number | string;
}): ArgumentLimits | undefined {
  const { max_arguments_bytes, max_arguments_depth, max_arguments_values, max_string_bytes } = config;
  const limits = [max_arguments_bytes, max_arguments_depth, max_arguments_values, max_string_bytes];
  if (limits.every((limit) => limit === undefined)) return undefined;
  return {
    bytes: bytesOf(max_arguments_bytes),
    depth: max_arguments_depth ?? Number.POSITIVE_INFINITY,
    valueCount: max_arguments_values ?? Number.POSITIVE_INFINITY,
    stringBytes: bytesOf(max_string_bytes),
  };
}

/** RFC 9110, section 15.5.6. */
function notTaken(methods: readonly string[]): PageAnswer {
  const allow = methods.join(', ');
  const error = { code: -32600, message: `this endpoint takes ${allow}` };
  return {
    status: 405,
    headers: [
      ['Allow', allow],
      ['Content-Type', 'application/json'],
    ],
    body: JSON.stringify({ jsonrpc: '2.0', id: null, error }),
  };
}

interface MaxHeaders {
  readonly count: number;
  readonly bytes: number;
  readonly valueBytes: number;
}

function headersProblem(headers: Ctx['headers'], max: MaxHeaders): Refusal | undefined {
  let count = 0;
  let bytes = 0;
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined) continue;
    count += 1;
    bytes += name.length + value.length;
    // Never the value: it may be a credential.
    if (value.length > max.valueBytes)
      return tooLarge(`the header field ${name.slice(0, 64)} is longer than ${max.valueBytes} bytes`);
  }
  if (count > max.count) return tooLarge(`there are more than ${max.count} header fields`);
  if (bytes > max.bytes) return tooLarge(`the header fields are longer than ${max.bytes} bytes in sum`);
  return undefined;
}

function bytesOf(size: number | string | undefined): number {
  return size === undefined ? Number.POSITIVE_INFINITY : sizeBytes(size);
}

function tooLarge(message: string): Refusal {
  return new Refusal('tooLarge', message);
}
