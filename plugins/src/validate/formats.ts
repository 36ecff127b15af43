/** The formats of JSON Schema's vocabularies that are asserted where the configuration says so. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** In 2020-12 and draft-07; others are remarks, as the drafts say of what is not known. */
const NAMES = [
  'date',
  'date-time',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'json-pointer',
  'relative-json-pointer',
  'time',
  'uri',
  'uri-reference',
  'uri-template',
  'uuid',
] as const;
/** Longer texts are of no format: expressions of some formats go back in a text. */
const MAX_LENGTH = 2_048;

type Format = RegExp | ((text: string) => boolean) | { readonly validate: Format };

/** By name, each a function that says whether a text is of the format. */
export const FORMATS: Readonly<Record<string, (text: string) => boolean>> = Object.fromEntries(
  NAMES.map((name) => {
    let is: ((text: string) => boolean) | undefined;
    return [
      name,
      (text: string) => {
        is ??= predicateOf(formatNamed(name));
        return text.length <= MAX_LENGTH && is(text);
      },
    ];
  }),
);

function formatNamed(name: string): Format {
  const { fullFormats } = require('ajv-formats/dist/formats') as {
    fullFormats: Readonly<Record<string, Format>>;
  };
  return fullFormats[name] as Format;
}

function predicateOf(format: Format): (text: string) => boolean {
  if (format instanceof RegExp) return (text) => format.test(text);
  return typeof format === 'function' ? format : predicateOf(format.validate);
}
