/** Which program acts for the caller: by what it says itself, by claims of the caller, or by a header that is signed. */
import { type ConfigProblem, type Json, type MaybePromise, Refusal, type Static, Type } from '@sluice/sdk';
import { LRUCache } from 'lru-cache';
import { Key } from '../auth-jwt/config.js';
import { verificationKey } from '../auth-jwt/given-key.js';
import type { Scope } from '../expressions/scope.js';
import { ALGORITHMS, GivenKeys } from '../tokens/keys.js';
import { digestOf } from '../tokens/verified.js';
import { InvalidToken, verifyToken } from '../tokens/verify.js';

const MAX_CAPABILITY_COUNT = 256;
const CLOCK_SKEW_MS = 30_000;
/** Headers that were verified lately. */
const MAX_REMEMBERED_COUNT = 4_096;

const ClaimName = (name: string, what: string) =>
  Type.String({ default: name, minLength: 1, maxLength: 256, description: `The claim with ${what}.` });

export const AgentConfig = Type.Object(
  {
    source: Type.Union([Type.Literal('client'), Type.Literal('claims'), Type.Literal('header')], {
      default: 'client',
      description:
        'Who says what `agent` is: the program itself, claims of the principal, or a JSON Web Token in a header.',
    }),
    name: ClaimName('agent', 'its name'),
    version: ClaimName('agent_version', 'its version'),
    capabilities: ClaimName('agent_capabilities', 'a list of what it can do, or a text with spaces between'),
    header: Type.String({
      default: 'x-agent-token',
      pattern: "^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$",
      description: 'The header with the token, in lower case.',
    }),
    keys: Type.Array(Key, { default: [], maxItems: 64, description: 'Keys that tokens are verified with.' }),
    issuer: Type.Optional(
      Type.String({ minLength: 1, maxLength: 512, description: 'What `iss` has to be.' }),
    ),
    audience: Type.Optional(
      Type.String({ minLength: 1, maxLength: 512, description: 'What `aud` has to be or to hold.' }),
    ),
  },
  { additionalProperties: false, description: 'Where `agent` comes from.' },
);
type AgentConfig = Static<typeof AgentConfig>;

/** `name` and `version` are there where they are known. */
export interface Agent {
  readonly name?: string;
  readonly version?: string;
  readonly capabilities: readonly string[];
  readonly source: AgentConfig['source'];
}

/** Of a request; a Refusal where it comes with a token that does not count. */
export type ReadAgent = (ctx: Scope) => MaybePromise<Agent | Refusal>;

export function agentProblems(config: AgentConfig | undefined): readonly ConfigProblem[] {
  if (config === undefined) return [];
  const { source, keys } = config;
  if (source !== 'header')
    return keys.length === 0
      ? []
      : [{ path: 'agent.keys', message: 'are for nothing', hint: 'write source: header' }];
  if (keys.length === 0)
    return [{ path: 'agent.keys', message: 'are missing', hint: 'say what the header is verified with' }];
  return keys.flatMap((key, index) => {
    try {
      verificationKey(key);
      return [];
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return [{ path: `agent.keys[${index}]`, message: error.message, hint: 'give it a secret, pem or jwk' }];
    }
  });
}

export function agentReads(config: AgentConfig | undefined): readonly string[] {
  switch (config?.source) {
    case 'claims':
      return [config.name, config.version, config.capabilities].map((claim) => `principal.claims.${claim}`);
    case 'header':
      return [`headers.${config.header}`, 'repeatedHeaders'];
    default:
      return ['client'];
  }
}

export function compileAgent(config: AgentConfig | undefined, nowMs: () => number): ReadAgent {
  switch (config?.source) {
    case 'claims':
      return (ctx) => ofClaims((ctx.principal as { claims: Scope }).claims, config);
    case 'header':
      return new SignedHeader(config, nowMs).read;
    default:
      return (ctx) => ofClient(ctx.client as Parameters<typeof ofClient>[0]);
  }
}

function ofClient({
  name,
  version,
  capabilities,
}: {
  name?: string;
  version?: string;
  capabilities?: object;
}) {
  const able = Object.keys(capabilities ?? {}).slice(0, MAX_CAPABILITY_COUNT);
  return agentOf(name, version, able, 'client');
}

function ofClaims(claims: Scope, config: AgentConfig): Agent {
  const own = (claim: string) => claims[claim] as Json | undefined;
  return agentOf(own(config.name), own(config.version), own(config.capabilities), config.source);
}

function agentOf(name: unknown, version: unknown, able: unknown, source: Agent['source']): Agent {
  const list = typeof able === 'string' ? able.split(' ') : Array.isArray(able) ? able : [];
  const capabilities = list.filter((each): each is string => typeof each === 'string' && each !== '');
  return {
    ...(typeof name === 'string' && { name }),
    ...(typeof version === 'string' && { version }),
    capabilities: capabilities.slice(0, MAX_CAPABILITY_COUNT),
    source,
  };
}

interface Verified {
  readonly agent: Agent;
  readonly fromMs: number;
  readonly untilMs: number;
}

class SignedHeader {
  private readonly keys: GivenKeys;
  private readonly remembered = new LRUCache<string, Verified>({ max: MAX_REMEMBERED_COUNT });
  private readonly rules;

  constructor(
    private readonly config: AgentConfig,
    private readonly nowMs: () => number,
  ) {
    this.keys = new GivenKeys(config.keys.map(verificationKey));
    this.rules = {
      algorithms: ALGORITHMS,
      issuers: config.issuer === undefined ? undefined : [config.issuer],
      audiences: config.audience === undefined ? undefined : [config.audience],
      clockSkewMs: CLOCK_SKEW_MS,
      requiredClaims: ['exp'],
    };
  }

  readonly read: ReadAgent = (ctx) => {
    const { header } = this.config;
    const token = (ctx.headers as Readonly<Record<string, string | undefined>>)[header];
    if ((ctx.repeatedHeaders as readonly string[]).includes(header))
      return new Refusal('forbidden', `the header ${header} was sent more than once`);
    if (token === undefined) return agentOf(undefined, undefined, undefined, 'header');
    const known = this.remembered.get(digestOf(token));
    const nowMs = this.nowMs();
    if (known !== undefined && nowMs >= known.fromMs && nowMs < known.untilMs) return known.agent;
    return this.verify(token, nowMs);
  };

  private async verify(token: string, nowMs: number): Promise<Agent | Refusal> {
    const verified = await verifyToken(token, this.keys, this.rules, nowMs);
    if (verified instanceof InvalidToken)
      return new Refusal('forbidden', `${verified.message} (header ${this.config.header})`);
    const { claims } = verified;
    const agent = ofClaims(claims, this.config);
    const untilMs = (claims.exp as number) * 1_000 + CLOCK_SKEW_MS;
    this.remembered.set(digestOf(token), { agent, fromMs: nowMs, untilMs });
    return agent;
  }
}
