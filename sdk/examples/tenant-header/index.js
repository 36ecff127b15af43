// @ts-check
/** Tells servers which tenant a call is for: an example of the hook `exchange`, which is around the rest of the chain. */
import { definePlugin, Refusal, Type } from '@sluice/sdk';

export default definePlugin({
  name: 'tenant-header',
  version: '1.0.0',
  description: 'Sends the tenant of the caller to servers as a header field.',
  phase: 'shape',
  config: Type.Object(
    { required: Type.Boolean({ default: true, description: 'Refuse callers who have no tenant.' }) },
    { additionalProperties: false },
  ),
  reads: ['principal.tenant'],
  changes: ['headers.x-tenant'],
  hooks: ({ required }, host) => {
    const nobody = new Refusal('forbidden', 'this needs a caller who belongs to a tenant');
    return {
      exchange: (ctx, next) => {
        const { tenant } = ctx.principal;
        if (tenant === undefined) return required ? nobody : next();
        host.metrics.count('calls_total', 'Calls by tenant', { tenant });
        return next({ headers: { 'x-tenant': tenant } });
      },
    };
  },
});
