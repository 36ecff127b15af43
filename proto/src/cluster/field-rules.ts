/** The rules that stand at the fields of the schema. What evaluates them is loaded when somebody first asks. */
import type { Path } from '@bufbuild/protobuf/reflect';
import type { Validator } from '@bufbuild/protovalidate';
import { type Resource, ResourceSchema } from '../gen/sluice/config/v1/resource_pb.js';

/** A field that breaks a rule of the schema. */
export interface FieldViolation {
  /** Of what the resource is: `http.url` of an upstream; or of any resource: `regions[0]`. */
  readonly field: string;
  readonly message: string;
  /** What would be right. */
  readonly hint: string;
}

/** What is wrong, by the beginning of the rule's name; its own message says what would be right. */
const REASONS: readonly (readonly [rule: string, reason: string])[] = [
  ['string.max_len', 'too long'],
  ['string.min_len', 'too short'],
  ['repeated.max_items', 'too many'],
  ['repeated.unique', 'something stands there twice'],
  ['map.max_pairs', 'too many'],
  ['enum.defined_only', 'a value that nobody knows'],
  ['uint32.', 'out of range'],
  ['timestamp.', 'out of range'],
  ['required', 'missing'],
];

let validator: Promise<Validator> | undefined;

export async function fieldViolations(resource: Resource): Promise<readonly FieldViolation[]> {
  validator ??= import('@bufbuild/protovalidate').then(({ createValidator }) => createValidator());
  const result = (await validator).validate(ResourceSchema, resource);
  if (result.kind === 'error') throw result.error;
  if (result.kind === 'valid') return [];
  return result.violations.map(({ field, message: said, ruleId }) => {
    const [message = said, hint] = said.split('; ', 2);
    const reason = REASONS.find(([rule]) => ruleId.startsWith(rule))?.[1];
    const isOwn = hint !== undefined;
    return {
      field: fieldOf(field),
      message: isOwn ? message : (reason ?? said),
      hint: hint ?? said,
    };
  });
}

function fieldOf(path: Path): string {
  return path.reduce((text, element) => {
    if (element.kind === 'list_sub') return `${text}[${element.index}]`;
    if (element.kind === 'map_sub') return `${text}.${element.key}`;
    // What the resource is, is not said again.
    if (element.kind === 'field' && element.oneof?.name === 'spec') return text;
    return text === '' ? element.name : `${text}.${element.name}`;
  }, '');
}
