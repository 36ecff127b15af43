/** What is lost when JSON is read: two readers may take one text for two things. */
import type { Json } from '@sluice/sdk';

/** True when an object in the text has a name twice. @param value what reading it gave. */
export function hasRepeatedName(text: string, value: Json | undefined): boolean {
  return nameCount(text) !== memberCount(value);
}

/** Names of members in a JSON text: strings with a colon behind them. */
function nameCount(text: string): number {
  let count = 0;
  for (let open = text.indexOf('"'); open !== -1; ) {
    let close = text.indexOf('"', open + 1);
    while (close !== -1 && isEscaped(text, close, open)) close = text.indexOf('"', close + 1);
    if (close === -1) return count;
    let behind = close + 1;
    while (isSpace(text.charCodeAt(behind))) behind += 1;
    if (text.charCodeAt(behind) === 58) count += 1;
    open = text.indexOf('"', behind);
  }
  return count;
}

function isEscaped(text: string, place: number, open: number): boolean {
  let count = 0;
  for (let before = place - 1; before > open && text.charCodeAt(before) === 92; before -= 1) count += 1;
  return count % 2 === 1;
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9 || code === 10 || code === 13;
}

function memberCount(value: Json | undefined): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) for (const each of value) count += memberCount(each as Json);
  else
    for (const each of Object.values(value)) if (each !== undefined) count += 1 + memberCount(each as Json);
  return count;
}

/** True for a member by which careless servers change what all objects inherit. @param text what it was read from. */
export function hasPrototypeMember(value: Json | undefined, text: string): boolean {
  // What is not named in the text, in any spelling, is not there.
  if (!text.includes('__proto__') && !text.includes('prototype') && !text.includes('\\u')) return false;
  return isPolluting(value);
}

function isPolluting(value: Json | undefined): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some((each) => isPolluting(each as Json));
  return Object.entries(value).some(
    ([name, each]) =>
      name === '__proto__' ||
      (name === 'constructor' &&
        typeof each === 'object' &&
        each !== null &&
        Object.hasOwn(each, 'prototype')) ||
      /(?:^|[.[\]])(?:__proto__|constructor[.[\]]+prototype)(?:$|[.[\]])/.test(name) ||
      isPolluting(each as Json),
  );
}
