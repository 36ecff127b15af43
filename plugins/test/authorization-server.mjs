/**
 * An authorization server of flesh and blood for tests: oidc-provider on loopback, with dynamic registration, PKCE,
 * resource indicators and introspection, and somebody at a browser who always agrees. In JavaScript, because
 * oidc-provider brings no types.
 */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

/** The client that the gateway is when it asks about opaque tokens, and one that calls for itself. */
export const GATEWAY = { client_id: 'gateway', client_secret: 'what the gateway says: a + b & c' };
export const ROBOT = { client_id: 'robot', client_secret: 'what the robot says' };

/** A client of people that was registered by hand. */
export const DESKTOP = { client_id: 'desktop' };
export const CALLBACK = 'http://127.0.0.1:1/callback';

const MAX_STEP_COUNT = 20;

/**
 * @param {{ format?: 'jwt' | 'opaque', alg?: string, scope?: string }} options what tokens are made of
 */
export async function startAuthorizationServer({
  format = 'jwt',
  alg = 'RS256',
  scope = 'tools:read tools:call',
} = {}) {
  const http = createServer();
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const issuer = `http://127.0.0.1:${http.address().port}`;
  const grants = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
  const provider = new Provider(issuer, {
    clients: [
      { ...GATEWAY, ...grants },
      { ...ROBOT, ...grants },
      {
        ...DESKTOP,
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        redirect_uris: [CALLBACK],
      },
    ],
    clientDefaults: { id_token_signed_response_alg: alg },
    cookies: { keys: ['only for a test'] },
    jwks: { keys: [keyFor(alg)] },
    scopes: ['openid', 'offline_access', ...scope.split(' ')],
    pkce: { required: () => true },
    ttl: { AccessToken: 600, ClientCredentials: 600, Grant: 600, Interaction: 600, Session: 600 },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      registration: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope,
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: format,
          ...(format === 'jwt' ? { jwt: { sign: { alg } } } : {}),
        }),
      },
    },
  });
  http.on('request', provider.callback());

  /** @param {Record<string, string>} form */
  async function post(path, form, { client_id, client_secret } = ROBOT) {
    const credentials = [client_id, client_secret].map(encodeURIComponent).join(':');
    const answer = await fetch(issuer + path, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      body: new URLSearchParams(form),
    });
    if (!answer.ok) throw new Error(`${path} answered with ${answer.status}: ${await answer.text()}`);
    return answer;
  }

  return {
    issuer,

    /** A token that the robot gets for itself. */
    async tokenFor(resource, wanted = scope) {
      const form = { grant_type: 'client_credentials', scope: wanted, ...(resource && { resource }) };
      return /** @type {string} */ ((await (await post('/token', form)).json()).access_token);
    },

    async revoke(token) {
      await post('/token/revocation', { token });
    },

    /**
     * Somebody opens the page, logs in, and agrees.
     *
     * @param {URL} url where the client sends its user
     * @param {string} login who that is
     * @returns {Promise<URLSearchParams>} what comes back to the client
     */
    async agree(url, login) {
      const cookies = new Map();
      let next = url;
      let form;
      for (let step = 0; step < MAX_STEP_COUNT; step += 1) {
        const answer = await fetch(next, {
          redirect: 'manual',
          headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
          ...(form && { method: 'POST', body: form }),
        });
        for (const cookie of answer.headers.getSetCookie()) {
          const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
          cookies.set(name, value);
        }
        form = undefined;
        const location = answer.headers.get('location');
        if (location !== null) {
          next = new URL(location, next);
          if (next.origin !== issuer) return next.searchParams;
          continue;
        }
        const page = await answer.text();
        const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
        if (prompt === undefined) throw new Error(`${next} answered with ${answer.status}: ${page}`);
        form = new URLSearchParams({ prompt, ...(prompt === 'login' && { login, password: 'any' }) });
      }
      throw new Error('the authorization server sent its user around in circles');
    },

    async stop() {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
}

function keyFor(alg) {
  const { privateKey } = alg.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: `key of ${alg}` };
}
