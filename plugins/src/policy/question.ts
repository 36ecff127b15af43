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
  const plain = isTemplate ? target.name : plainName(target);
  const asWritten = questionOf(ctx, methods, used, target, isLater, isTemplate, facts);
  if (plain === target.name) return [asWritten];
  const asRead = questionOf(ctx, methods, used, { ...target, name: plain }, isLater, false, facts);
  return [asWritten, { ...asRead, isPlain: true }];
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

/** Plain names are letters of ASCII and what stands between them in names, and are not read as anything else. */
const PLAIN_NAME = /^[\w.:/-]*$/;

/** The name as a server may read it that decodes, or folds compatibility forms, or passes over what nobody sees. */
function plainName({ kind, name }: Target): string {
  if (kind === 'resource') return plainUri(name);
  if (PLAIN_NAME.test(name)) return name;
  return decodedWholly(name)
    .normalize('NFKC')
    .replace(/[\p{Cc}\p{Cf}\p{Zs}]/gu, '');
}
