/**
 * Knows everybody who sends no credential as one configured identity. It stands last among the plugins that know
 * callers: a credential that none of them knows is refused, and does not make its sender anonymous.
 */
import { definePlugin, frozen, type Identity, Type } from '@sluice/sdk';
import { callerScopes, consumerName, IDENTITY_FIELDS } from '../identity-fields.js';

const Config = Type.Object(
  {
    consumer: Type.Optional(consumerName('Whose limits and records count for them.')),
    ...IDENTITY_FIELDS,
    scopes: callerScopes('What callers without a credential may do.'),
  },
  { additionalProperties: false },
);

interface Ctx {
  readonly headers: {
    readonly authorization: string | undefined;
    readonly 'x-api-key': string | undefined;
  };
}

export default definePlugin({
  name: 'anonymous',
  version: '1.0.0',
  description: 'Knows everybody without a credential as one identity.',
  phase: 'identity',
  config: Config,
  reads: ['headers.authorization', 'headers.x-api-key'],
  changes: [],

  hooks({ consumer, tenant, scopes, claims }) {
    const identity: Identity = frozen({
      id: 'anonymous',
      consumer,
      tenant,
      scopes,
      claims: claims as Identity['claims'],
    });

    function identify({ headers }: Ctx): Identity | undefined {
      const isBare = headers.authorization === undefined && headers['x-api-key'] === undefined;
      return isBare ? identity : undefined;
    }

    return { identify };
  },
});
