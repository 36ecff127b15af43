/** What a rule that comes with the plugin is. */

/** A text among the arguments of a call, as it is meant. */
export interface Text {
  readonly text: string;
  /** The name of the member that holds it; empty where there is none. */
  readonly member: string;
}

export interface BuiltInRule {
  readonly id: string;
  /** What it finds, as the caller is told: `the arguments hold …`. */
  readonly finds: string;
  /** Texts that it finds, for the tests and the reference. */
  readonly examples: readonly string[];
  /** Texts close to those that it does not. */
  readonly harmless: readonly string[];
  /** An expression without unbounded repetitions inside of others, so that it takes time as the text has length. */
  readonly isIn: (text: Text) => boolean;
}

export interface RuleSet {
  readonly name: string;
  readonly rules: readonly BuiltInRule[];
  /** The text as those read it who act on it; undefined where that is nothing else. */
  readonly read?: (text: string) => string | undefined;
}

export function rule(
  id: string,
  finds: string,
  pattern: RegExp,
  examples: readonly string[],
  harmless: readonly string[],
): BuiltInRule {
  return { id, finds, examples, harmless, isIn: ({ text }) => pattern.test(text) };
}
