/** What an endpoint says of itself, in both eras. */
import { META, SUPPORTED_REVISIONS } from '../protocol/revisions.js';
import { jsonBinary } from '../protocol/text.js';
import type { UpstreamFacts } from '../upstream/offers.js';

/** Longest merged `instructions`; more would fill a model's context before the first question. */
const MAX_INSTRUCTIONS_CHARS = 8_000;

/** Capabilities that the gateway can carry for an upstream that is shared or translated. */
export function routableCapabilities(
  capabilities: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { tools, prompts, resources, completions, logging } = capabilities;
  const kept: Record<string, unknown> = {};
  if (tools !== undefined) kept.tools = withListChanged(tools);
  if (prompts !== undefined) kept.prompts = withListChanged(prompts);
  if (resources !== undefined) kept.resources = withListChanged(resources);
  if (completions !== undefined) kept.completions = completions;
  if (logging !== undefined) kept.logging = logging;
  return kept;
}

/** The gateway notices changes by itself, so it can always tell of them. */
function withListChanged(capability: unknown): Record<string, unknown> {
  return { ...(typeof capability === 'object' && capability !== null ? capability : {}), listChanged: true };
}

/** The union of what many upstreams can do. */
export function mergedCapabilities(all: readonly (UpstreamFacts | undefined)[]): Record<string, unknown> {
  const merged: Record<string, Record<string, unknown>> = {};
  for (const facts of all) {
    if (facts === undefined) continue;
    for (const [key, value] of Object.entries(routableCapabilities(facts.capabilities))) {
      merged[key] = { ...merged[key], ...(value as Record<string, unknown>) };
    }
  }
  return merged;
}

/** Instructions of many upstreams, each under its name, within a budget. */
export function mergedInstructions(
  all: readonly { name: string; facts: UpstreamFacts | undefined }[],
): string | undefined {
  const parts: string[] = [];
  let length = 0;
  for (const { name, facts } of all) {
    if (facts?.instructions === undefined) continue;
    const part = `# ${name}\n${facts.instructions}`;
    if (length + part.length > MAX_INSTRUCTIONS_CHARS) continue;
    length += part.length;
    parts.push(part);
  }
  return parts.length === 0 ? undefined : parts.join('\n\n');
}

/** A `server/discover` result (2026-07-28, server/discover) as binary text. */
export function discoverResult(
  capabilities: Record<string, unknown>,
  serverInfo: unknown,
  instructions: string | undefined,
): string {
  return jsonBinary({
    resultType: 'complete',
    supportedVersions: SUPPORTED_REVISIONS,
    capabilities,
    ...(instructions === undefined ? {} : { instructions }),
    ttlMs: 0,
    cacheScope: 'private',
    _meta: serverInfo === undefined ? {} : { [META.serverInfo]: serverInfo },
  });
}

/** An `initialize` result (2025-11-25, basic/lifecycle) as binary text. */
export function initializeResult(
  revision: string,
  capabilities: Record<string, unknown>,
  serverInfo: unknown,
  instructions: string | undefined,
): string {
  return jsonBinary({
    protocolVersion: revision,
    capabilities,
    serverInfo: serverInfo ?? { name: 'unknown', version: 'unknown' },
    ...(instructions === undefined ? {} : { instructions }),
  });
}
