/** The rule sets that come with the plugin. */
import { code } from './code.js';
import { filesystem } from './filesystem.js';
import { network } from './network.js';
import type { RuleSet } from './rule.js';
import { shell } from './shell.js';
import { sql } from './sql.js';

export type { BuiltInRule, RuleSet, Text } from './rule.js';

export const RULE_SETS: readonly RuleSet[] = [filesystem, shell, sql, network, code];
