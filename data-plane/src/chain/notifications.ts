/** Notifications on their way past the plugins that want to see them, and only to those who may know of it. */
import type { JsonObject, MaybePromise } from '@sluice/sdk';
import { after, type Known, type Route } from '@sluice/sdk/engine';
import type { Exchange } from '../exchange/exchange.js';
import { scanMessage } from '../protocol/scan.js';
import { binaryToBytes, jsonBinary } from '../protocol/text.js';
import { updatedUri } from '../upstream/subscriptions.js';
import type { RoutedEndpoint } from './routed-endpoint.js';

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

/** What of a notification reaches a client: news of a resource are for those who may read it. */
export function forClient(
  route: Route,
  known: Known,
  endpoint: RoutedEndpoint,
  { caller }: Pick<Exchange, 'caller'>,
  message: Buffer,
): MaybePromise<Buffer | undefined> {
  const told = () => (route.watchesNotifications ? pastPlugins(route, known, 'to client', message) : message);
  const uri = route.authorizes ? updatedUri({ bytes: message, envelope: scanMessage(message) }) : undefined;
  if (uri === undefined) return told();
  const located = endpoint.locate(uri, 'resource', caller);
  if (located === undefined) return undefined;
  const isPermitted = route.permits(known, { kind: 'resource', ...located }, 'resources/read');
  return after(isPermitted, (may) => (may ? told() : undefined));
}

/**
 * Hands notifications of a request on, as they may reach its client.
 *
 * @param route as it is when one comes.
 */
export function tellingClient(
  route: () => Route | undefined,
  known: Known,
  endpoint: RoutedEndpoint,
  exchange: Pick<Exchange, 'notify' | 'caller'>,
): (message: Buffer) => void {
  return (message) => {
    const now = route();
    const own = now === undefined ? message : forClient(now, known, endpoint, exchange, message);
    void after(own, (told) => {
      if (told !== undefined) exchange.notify(told);
    });
  };
}
