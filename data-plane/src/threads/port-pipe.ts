/** Pipes between threads. */
import type { MessagePort } from 'node:worker_threads';
import type { BusMessage, Pipe } from '../sessions/node-bus.js';

export function portPipe<M = BusMessage>(port: MessagePort): Pipe<M> {
  port.unref();
  return {
    post: (message) => port.postMessage(message),
    onMessage: (listener) => {
      port.on('message', listener);
      // A listener alone would keep the thread.
      port.unref();
    },
    onClose: (listener) => void port.on('close', listener),
    close: () => port.close(),
  };
}

/** Makes one pipe of two that end here. */
export function splicePipes(one: Pipe, other: Pipe): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.onMessage((message) => to.post(message));
    from.onClose(() => to.close());
  }
}
