/**
 * Makes the gateway an OAuth 2.1 resource server as the MCP specification wants it (2026-07-28, basic/authorization):
 * it says which authorization servers count, takes their access tokens when they are meant for this gateway, and says
 * to everybody else where to get one. A token ends here: it is never passed on to an upstream.
 */
import {
  definePlugin,
  durationMs,
  type Identity,
  type MaybePromise,
  type Outcome,
  Refusal,
} from '@sluice/sdk';
import { bearerToken } from '../tokens/bearer.js';
import { Unavailable } from '../tokens/document.js';
import { VerifiedTokens } from '../tokens/verified.js';
import { claimedIssuer, InvalidToken, looksLikeJwt } from '../tokens/verify.js';
import { Config, configProblems } from './config.js';
import { type Place, ProtectedResource, WELL_KNOWN } from './resource.js';
import { Server } from './server.js';

interface Ctx extends Place {
  readonly headers: { readonly authorization: string | undefined };
  readonly repeatedHeaders: readonly string[];
}

type Found = Identity | InvalidToken | undefined;

export default definePlugin({
  name: 'auth-oauth',
  version: '1.0.0',
  description: 'Knows callers by OAuth 2.1 access tokens, and tells clients where to get one.',
  phase: 'identity',
  config: Config,
  reads: ['endpoint', 'headers.authorization', 'origin', 'repeatedHeaders', 'transport'],
  changes: [],
  pages: [WELL_KNOWN],
  check: configProblems,

  hooks(config, host) {
    const resource = new ProtectedResource(config);
    const verified = new VerifiedTokens();
    const skewMs = durationMs(config.clock_skew);
    const servers = config.authorization_servers.map((each) => new Server(each, skewMs, host, verified));
    const byIssuer = new Map(servers.map((server) => [server.issuer, server]));
    const introspecting = servers.filter(({ introspects }) => introspects);
    const { required_scopes } = config;

    function identify(ctx: Ctx): MaybePromise<Identity | Refusal | undefined> {
      const token = bearerToken(ctx.headers.authorization);
      if (token === undefined) return undefined;
      if (ctx.repeatedHeaders.includes('authorization'))
        return invalid(ctx, 'the token was sent more than once');
      const known = verified.identityOf(token, host.clock.now());
      if (known !== undefined) return admitted(ctx, known);
      let found: MaybePromise<Found>;
      try {
        found = lookUp(token);
      } catch (thrown) {
        return unavailable(thrown);
      }
      if (!(found instanceof Promise)) return admitted(ctx, found);
      return found.then((each) => admitted(ctx, each), unavailable);
    }

    /** Undefined for a token of nobody here: it may be for another plugin. */
    function lookUp(token: string): MaybePromise<Found> {
      const issuer = looksLikeJwt(token) ? claimedIssuer(token) : undefined;
      // A token that somebody else made is shown to nobody.
      if (issuer !== undefined) return byIssuer.get(issuer)?.ofJwt(token);
      return introspecting.length === 0 ? undefined : opaque(token, 0);
    }

    function opaque(token: string, index: number): MaybePromise<Found> {
      const found = introspecting[index]?.ofOpaque(token);
      if (!(found instanceof Promise)) return found ?? next(token, index);
      return found.then((each) => each ?? next(token, index));
    }

    function next(token: string, index: number): MaybePromise<Found> {
      return index + 1 < introspecting.length ? opaque(token, index + 1) : undefined;
    }

    function admitted(ctx: Ctx, found: Found): Identity | Refusal | undefined {
      if (found === undefined) return undefined;
      if (found instanceof InvalidToken) return invalid(ctx, found.message);
      if (!resource.isMeantBy(found.claims.aud, ctx.endpoint))
        return invalid(ctx, 'the token is for another audience');
      const isMissing = (scope: string) => !found.scopes.includes(scope);
      if (required_scopes.some(isMissing)) return insufficient(ctx);
      return found;
    }

    function invalid(ctx: Ctx, message: string): Refusal {
      const challenge = resource.challenge(ctx, `, error="invalid_token", error_description="${message}"`);
      return new Refusal('unauthenticated', message, { headers: [['WWW-Authenticate', challenge]] });
    }

    /** All that is needed at once (2026-07-28, basic/authorization, "Runtime Insufficient Scope Errors"). */
    function insufficient(ctx: Ctx): Refusal {
      const message = `this gateway needs the scopes ${required_scopes.join(' ')}`;
      const challenge = resource.challenge(ctx, ', error="insufficient_scope"');
      return new Refusal('forbidden', message, { headers: [['WWW-Authenticate', challenge]] });
    }

    function challenge(ctx: Ctx): string {
      const wasSent = bearerToken(ctx.headers.authorization) !== undefined;
      return resource.challenge(
        ctx,
        wasSent ? ', error="invalid_token", error_description="the token is known to nobody here"' : '',
      );
    }

    /** Whoever refuses for want of scopes need not know where tokens come from. */
    function outcome(ctx: Ctx, came: Outcome): Outcome | Refusal {
      const { refusal } = came;
      if (refusal?.kind !== 'forbidden') return came;
      const { kind, message, details } = refusal;
      const headers = details.headers?.map(
        ([name, value]) => [name, withMetadata(ctx, name, value)] as const,
      );
      return headers === undefined ? came : new Refusal(kind, message, { ...details, headers });
    }

    function withMetadata(ctx: Ctx, name: string, value: string): string {
      const isOurs = name.toLowerCase() === 'www-authenticate' && /^Bearer .*insufficient_scope/i.test(value);
      if (!isOurs || value.includes('resource_metadata=')) return value;
      return resource.challenge(ctx, `, ${value.slice('Bearer '.length).trim()}`, '');
    }

    return { identify, challenge, outcome, page: (request) => resource.page(request) };
  },
});

/** Fails closed, and says when to come back: a client that is sent to log in again would fail the same. */
function unavailable(thrown: unknown): Refusal {
  if (!(thrown instanceof Unavailable)) throw thrown;
  const seconds = String(Math.ceil(thrown.retryAfterMs / 1_000));
  return new Refusal('failed', thrown.message, { headers: [['Retry-After', seconds]], cause: thrown.cause });
}
