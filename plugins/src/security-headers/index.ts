/**
 * Tells browsers to do nothing with an answer but what the one who asked does with it: no guessing of types, no
 * rendering, no frames (OWASP, "REST Security Cheat Sheet", "Security Headers").
 */
import { definePlugin, type Fields, type HeadControl, Type } from '@sluice/sdk';

/** Printable ASCII: nothing that ends a field. */
const VALUE = '^[\\x20-\\x7e]*$';
const NAME = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$";
/** What the gateway says by itself; two answers to one question are none. */
const OWN: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'access-control-max-age',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'mcp-session-id',
  'set-cookie',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'vary',
  'www-authenticate',
]);

const Value = (value: string, description: string) =>
  Type.String({ default: value, maxLength: 4_096, pattern: VALUE, description });

const Config = Type.Object(
  {
    content_security_policy: Value(
      "default-src 'none'; frame-ancestors 'none'",
      'Content-Security-Policy; an empty text leaves the field out, here and below.',
    ),
    content_type_options: Value('nosniff', 'X-Content-Type-Options.'),
    cross_origin_resource_policy: Value('same-origin', 'Cross-Origin-Resource-Policy; does not touch CORS.'),
    frame_options: Value('DENY', 'X-Frame-Options, for browsers that do not know frame-ancestors.'),
    referrer_policy: Value('no-referrer', 'Referrer-Policy.'),
    strict_transport_security: Value(
      'max-age=31536000',
      'Strict-Transport-Security; sent to clients that came over HTTPS alone.',
    ),
    behind_https: Type.Boolean({
      default: false,
      description: 'Whether clients come over HTTPS to a proxy in front of the gateway.',
    }),
    additional: Type.Record(Type.String(), Value('', 'The value of the field.'), {
      default: {},
      maxProperties: 32,
      description: 'Other fields by name, for example Permissions-Policy.',
    }),
  },
  { additionalProperties: false },
);

/** The name in the configuration, and that of the field. */
const FIELDS = [
  ['content_security_policy', 'Content-Security-Policy'],
  ['content_type_options', 'X-Content-Type-Options'],
  ['cross_origin_resource_policy', 'Cross-Origin-Resource-Policy'],
  ['frame_options', 'X-Frame-Options'],
  ['referrer_policy', 'Referrer-Policy'],
] as const;
const OVER_HTTPS = 'Strict-Transport-Security';

export default definePlugin({
  name: 'security-headers',
  version: '1.0.0',
  description: 'Tells browsers to do nothing with an answer but to hand it over.',
  phase: 'door',
  config: Config,
  reads: ['origin'],
  changes: [],

  check({ additional }) {
    const seen = new Set([...FIELDS.map(([, name]) => name.toLowerCase()), OVER_HTTPS.toLowerCase()]);
    return Object.keys(additional).flatMap((name) => {
      const path = `additional.${name}`;
      const lower = name.toLowerCase();
      if (!new RegExp(NAME).test(name)) return [{ path, message: 'is no name of a header field' }];
      if (OWN.has(lower)) return [{ path, message: 'is for the gateway to say' }];
      if (seen.has(lower))
        return [{ path, message: 'is said already', hint: 'there is a setting of its own for it' }];
      seen.add(lower);
      return [];
    });
  },

  hooks(config) {
    const always: Fields = [
      ...FIELDS.map(([setting, name]) => [name, config[setting]] as const),
      ...Object.entries(config.additional),
    ].filter(([, value]) => value !== '');
    const { strict_transport_security, behind_https } = config;

    function head({ origin }: { readonly origin: string }, control: HeadControl): undefined {
      for (const [name, value] of always) control.setHeader(name, value);
      if (strict_transport_security === '') return;
      // Over plain HTTP anybody could have written it (RFC 6797, section 7.2).
      if (behind_https || origin.startsWith('https:'))
        control.setHeader(OVER_HTTPS, strict_transport_security);
    }

    return { head };
  },
});
