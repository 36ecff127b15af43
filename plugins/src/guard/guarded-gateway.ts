/** What the tests of the plugin stand on: a gateway with it alone, which is closed when they have ended. */
import type { JsonObject } from '@sluice/sdk';
import { type Script, type TestRequest, testPlugin } from '@sluice/sdk/testing';
import plugin from './index.js';

/** All sets of rules. */
export const SETS = ['filesystem', 'shell', 'sql', 'network', 'code', 'json'].map((set) => ({ set }));
export const KEY = 'AKIAIOSFODNN7EXAMPLE';
export const CARD = '4111 1111 1111 1111';
export const text = (...texts: string[]) => ({
  content: texts.map((each) => ({ type: 'text', text: each })),
});

const gateways: { close(): Promise<void> }[] = [];

export async function closeGateways(): Promise<void> {
  for (const gateway of gateways.splice(0)) await gateway.close();
}

export function gatewayOf(config: object, upstream?: Script) {
  const gateway = testPlugin(plugin, { config, ...(upstream && { upstream }) });
  gateways.push(gateway);
  return gateway;
}

export async function answer(
  config: object,
  result: JsonObject,
  request: TestRequest = { tool: 'files:read' },
) {
  return gatewayOf(config, () => result).call(request);
}
