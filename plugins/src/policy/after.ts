import type { MaybePromise } from '@sluice/sdk';

/** `then` without a turn of the event loop where there is nothing to wait for. */
export function after<T, U>(value: MaybePromise<T>, use: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(use) : use(value);
}
