/** Notifications on their way past the plugins that want to see them. */
import type { JsonObject } from '@sluice/sdk';
import type { Known, Route } from '@sluice/sdk/engine';
import type { Exchange } from '../exchange/exchange.js';
import { binaryToBytes, jsonBinary } from '../protocol/text.js';

/** What goes on of a notification; undefined when a plugin dropped it. */
export function pastPlugins(
  route: Route,
  known: Known,
  direction: 'to client' | 'to upstream',
  message: Buffer,
): Buffer | undefined {
  const read = JSON.parse(message.toString()) as { method?: string; params?: JsonObject };
  const said = route.notification(known, { direction, method: read.method ?? '', params: read.params ?? {} });
  if (said === undefined) return message;
  return said === 'drop' ? undefined : binaryToBytes(jsonBinary({ ...read, params: said }));
}

/** Hands notifications of a request on, as plugins let them pass. */
export function tellingPlugins(
  route: Route,
  known: Known,
  exchange: Pick<Exchange, 'notify'>,
): (message: Buffer) => void {
  return (message) => {
    const own = pastPlugins(route, known, 'to client', message);
    if (own !== undefined) exchange.notify(own);
  };
}
