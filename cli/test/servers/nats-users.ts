/** Users of a NATS server who show a JWT: an operator, an account and a user, each signed by the one before. */
import { createHash } from 'node:crypto';
import { createAccount, createOperator, createUser } from '@nats-io/nkeys';

type KeyPair = ReturnType<typeof createUser>;

const UNLIMITED = -1;

/** @returns more of the server's configuration, and a `.creds` file of a user who may do everything */
export function natsUser(): { config: string; credentials: string } {
  const [operator, account, user] = [createOperator(), createAccount(), createUser()];
  // JetStream has its own.
  const system = createAccount();
  const operatorJwt = signed(operator, operator, 'operator', {});
  const accountJwt = signed(operator, account, 'account', {
    limits: {
      ...{ subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED, imports: UNLIMITED, exports: UNLIMITED },
      ...{
        wildcards: true,
        conn: UNLIMITED,
        leaf: UNLIMITED,
        mem_storage: UNLIMITED,
        disk_storage: UNLIMITED,
      },
      ...{ streams: UNLIMITED, consumer: UNLIMITED },
    },
  });
  const systemJwt = signed(operator, system, 'account', {});
  const userJwt = signed(account, user, 'user', {
    ...{ pub: {}, sub: {}, subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED },
  });
  const seed = new TextDecoder().decode(user.getSeed());
  return {
    config: [
      `operator: ${operatorJwt}`,
      'resolver: MEMORY',
      `system_account: ${system.getPublicKey()}`,
      `resolver_preload: { ${account.getPublicKey()}: ${accountJwt}, ${system.getPublicKey()}: ${systemJwt} }`,
    ].join('\n'),
    credentials: `${armored('NATS USER JWT', userJwt)}${armored('USER NKEY SEED', seed)}`,
  };
}

function signed(issuer: KeyPair, subject: KeyPair, type: string, more: object): string {
  const claims = {
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    name: type,
    sub: subject.getPublicKey(),
    nats: { ...more, type, version: 2 },
  };
  const jti = createHash('sha256').update(JSON.stringify(claims)).digest('hex');
  const text = [
    { typ: 'JWT', alg: 'ed25519-nkey' },
    { ...claims, jti },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString('base64url')}`;
}

function armored(name: string, content: string): string {
  return `-----BEGIN ${name}-----\n${content}\n------END ${name}------\n\n`;
}
