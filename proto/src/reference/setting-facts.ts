import { formatQuantity } from '../quantity.js';
import { LOG_FORMATS, LOG_LEVELS } from '../resolved.js';
import { enumWords, type Setting } from '../settings.js';

/** Texts of which only a few mean something; in the schema they are plain strings. */
const WORDS_OF_TEXTS: Readonly<Record<string, readonly string[]>> = {
  'log.level': LOG_LEVELS,
  'log.format': LOG_FORMATS,
};

/** The words that a setting takes, or `undefined` when it takes more than a few. */
export function wordsOf(setting: Setting): readonly string[] | undefined {
  const field = setting.fields.at(-1);
  if (field?.fieldKind === 'enum') return [...enumWords(field.enum).keys()];
  return setting.scope === 'gateway' ? WORDS_OF_TEXTS[setting.path] : undefined;
}

/** The default as a person would write it; `undefined` when nothing is the default. */
export function defaultText(setting: Setting): string | undefined {
  const value = setting.default;
  if (value === undefined) return undefined;
  if (typeof value === 'number') return formatQuantity(value, setting.type);
  return typeof value === 'string' ? value : value.join(', ');
}
