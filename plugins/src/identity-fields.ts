/** What a configuration says of callers who are known by it alone, with no issuer of tokens behind them. */
import { Type } from '@sluice/sdk';

/** @param description of the field, since who the consumer is differs with the credential. */
export function consumerName(description: string) {
  return Type.String({ minLength: 1, maxLength: 128, description });
}

export function callerScopes(description: string) {
  return Type.Array(Type.String({ minLength: 1 }), { default: [], description });
}

/** Where a caller is known whom not everybody has written down. */
export const ENDPOINTS_BELOW = Type.Optional(
  Type.String({
    pattern: '^/mcp/(?:[A-Za-z0-9_.~-]+/)*$',
    maxLength: 512,
    description:
      'Counts only at endpoints whose paths begin so, for example /mcp/team/; elsewhere it is not known.',
  }),
);

/** All of an identity but its consumer. */
export const IDENTITY_FIELDS = {
  tenant: Type.Optional(
    Type.String({ minLength: 1, maxLength: 128, description: 'The tenant that they belong to.' }),
  ),
  scopes: callerScopes('What the caller may do.'),
  claims: Type.Record(Type.String(), Type.Unknown(), {
    default: {},
    description: 'Facts for other plugins.',
  }),
};
