/**
 * A configuration for each plugin that does not take an empty one: what a plugin reads, and which hooks it has, is
 * known only when it is made.
 */
export const SAMPLES: Readonly<Record<string, object>> = {
  audit: { file: '/var/lib/sluice/audit.sqlite' },
  'auth-api-key': { hash_key: 'a secret that only samples have, of 32 or more' },
  'auth-basic': {
    users: [{ user: 'ada', password_hash: `$scrypt$ln=15,r=8,p=3$${'A'.repeat(22)}$${'A'.repeat(43)}` }],
  },
  'auth-jwt': {
    issuer: 'https://issuer.example',
    audience: 'sluice',
    jwks_uri: 'https://issuer.example/jwks',
  },
  'auth-oauth': {
    resource: 'https://gateway.example',
    authorization_servers: [{ issuer: 'https://issuer.example' }],
  },
  cors: { allowed_origins: ['https://app.example'] },
  ratelimit: { limits: [{ name: 'calls', rate: 10 }] },
  'request-limit': { max_arguments_bytes: 1_024, max_header_count: 64 },
  transform: {
    rules: [{ name: 'all', headers: {}, result: { remove: ['/a'] }, entries: { remove: ['/a'] } }],
  },
};
