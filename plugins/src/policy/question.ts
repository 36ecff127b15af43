/** What of a request rules are asked. */
import type { Target } from '@sluice/sdk';
import { plainUri } from '../authorize/spelling.js';
import { decodedWholly } from '../expressions/paths.js';
import type { Scope } from '../expressions/scope.js';
import { WITH_TARGET } from '../method-targets.js';
import type { Question } from './decision-point.js';

/** With what a target is used, whatever else is done with it. */
const USED_BY = { tool: 'tools/call', prompt: 'prompts/get', resource: 'resources/read' } as const;

const NO_TARGET = Object.freeze({});

/**
 * The questions that a request is, as it is written and as a server may read it: what is denied in one reading is
 * denied.
 *
 * @param isRequest whether it came so; else it is what could come, as an entry of a list offers it.
 */
export function questionsOf(
  ctx: Scope,
  method: string,
  target: Target | undefined,
  isRequest: boolean,
  facts: Scope,
): readonly Question[] {
  if (target === undefined) {
    // A name that nobody has: whoever may use no such thing is not told that there is none.
    const isNameOpen = WITH_TARGET.has(method);
    return [questionOf(ctx, [method], method, undefined, isNameOpen, isNameOpen, facts)];
  }
  const used = USED_BY[target.kind];
  const methods = used === method ? [method] : [method, used];
  // What completes an argument is there for a use that is still to come; of a task, what its call was is not known.
  const isLater = !isRequest || (method !== used && !method.startsWith('resources/'));
  const isTemplate = isLater && target.kind === 'resource' && target.name.includes('{');
  const asWritten = questionOf(ctx, methods, used, target, isLater, isTemplate, facts);
  const readings = isTemplate ? NO_READINGS : readingsOf(target);
  if (readings.length === 0) return [asWritten];
  const asRead = readings.map((name) => ({
    ...questionOf(ctx, methods, used, { ...target, name }, isLater, false, facts),
    isPlain: true,
  }));
  return [asWritten, ...asRead];
}

function questionOf(
  ctx: Scope,
  methods: readonly string[],
  method: string,
  target: Target | undefined,
  isLater: boolean,
  isNameOpen: boolean,
  facts: Scope,
): Question {
  return {
    ctx,
    methods,
    method,
    target,
    isLater,
    isNameOpen,
    isPlain: false,
    facts: { ...facts, method, target: target ?? NO_TARGET },
  };
}

const NO_READINGS: readonly string[] = [];
/** Plain names are letters of ASCII and what stands between them in names, and are not read as anything else. */
const PLAIN_NAME = /^[\w.:/-]*$/;
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zs}]/gu;
const SCHEME = /^([a-z][a-z0-9+.-]*:\/\/)(.*)$/is;

/** Names as which a server may read this one that decodes, folds compatibility forms, or passes over what nobody sees. */
function readingsOf({ kind, name }: Target): readonly string[] {
  if (kind !== 'resource') {
    if (PLAIN_NAME.test(name)) return NO_READINGS;
    const plain = decodedWholly(name).normalize('NFKC').replace(UNSEEN, '');
    return plain === name ? NO_READINGS : [plain];
  }
  const decoded = decodedWholly(name);
  const readings = new Set([plainUri(name), plainUri(decoded)]);
  // To many servers what stands behind the scheme is a path from its beginning on.
  const [, scheme, rest] = SCHEME.exec(decoded) ?? [];
  if (scheme !== undefined && rest?.includes('..')) readings.add(scheme + plainUri(rest));
  readings.delete(name);
  return [...readings];
}
