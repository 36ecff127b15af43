/** The plugins that come with Sluice, by name. They are built on the public interface of `@sluice/sdk` alone. */
import { createRequire } from 'node:module';
import type { Plugin } from '@sluice/sdk';

export { type PinnedTool, pinnedTools } from './pin/status.js';

const require = createRequire(import.meta.url);

/** Each has a folder of its name. */
export const BUILT_IN: readonly string[] = [
  'anonymous',
  'audit',
  'auth-api-key',
  'auth-basic',
  'auth-jwt',
  'auth-oauth',
  'authorize',
  'cache',
  'cors',
  'guard',
  'login-limit',
  'pin',
  'policy',
  'ratelimit',
  'request-limit',
  'security-headers',
  'transform',
  'validate',
];

/**
 * The plugin of a name; undefined when none of it comes with Sluice. It is loaded when somebody first asks for it: a
 * gateway without plugins does not pay for their libraries, which take 20 MB and more.
 */
export function builtIn(name: string): Plugin | undefined {
  if (!BUILT_IN.includes(name)) return undefined;
  return (require(`./${name}/index.js`) as { default: Plugin }).default;
}
