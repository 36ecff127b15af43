import type { DescField } from '@bufbuild/protobuf';
import { formatQuantity } from '../quantity.js';
import {
  enumWords,
  GATEWAY_SETTINGS,
  PLUGIN_SETTINGS,
  RESOURCE_LISTS,
  type Setting,
  UPSTREAM_SETTINGS,
} from '../settings.js';
import { INTRODUCTION } from './reference-introduction.js';
import type { SchemaComments } from './schema-comments.js';
import { defaultText, wordsOf } from './setting-facts.js';

/** The page that lists every setting: what it takes, its default, its variable and its meaning. */
export function referencePage(comments: SchemaComments): string {
  const gateway = sections('gateway', GATEWAY_SETTINGS, comments);
  const upstream = sections('upstreams[]', UPSTREAM_SETTINGS, comments);
  const plugin = sections('plugins[]', PLUGIN_SETTINGS, comments);
  return `${INTRODUCTION}
## Settings of the gateway

${gateway}
## Settings of an upstream

Settings below \`http\`, \`websocket\` and \`stdio\` may also stand directly in the upstream: \`url\` means \`websocket.url\` where its scheme is ws or wss, else \`http.url\`, and \`headers\` go with it. So do their variables. HTTP+SSE has addresses like those of streamable HTTP, so \`sse\` has to be written around its settings.

${upstream}
## Settings of a plugin

\`plugins\` is a list; the phase of each plugin decides the order, and inside a phase the order of the list. What stands below \`config\` is the plugin's own: \`\${VAR}\` works there too.

${plugin}
${RESOURCE_LISTS.map(
  ({ field, settings }) =>
    `## \`${field.name}\`\n\nA list. ${comments.of(field)}\n\n${sections(`${field.name}[]`, settings, comments)}`,
).join('\n')}`;
}

/** One table for each message, in the order of the schema; settings without a message of their own come last. */
function sections(root: string, settings: readonly Setting[], comments: SchemaComments): string {
  const bySection = new Map<string, Setting[]>();
  for (const setting of settings) {
    const parents = setting.fields.slice(0, -1).map(({ name }) => name);
    const name = [root, ...parents].join('.');
    bySection.set(name, [...(bySection.get(name) ?? []), setting]);
  }
  return [...bySection]
    .map(
      ([name, members]) =>
        `### \`${name}\`\n\n${parentComment(members, comments)}${table(members, comments)}`,
    )
    .join('\n');
}

function parentComment([first]: readonly Setting[], comments: SchemaComments): string {
  const parent = first?.fields.at(-2);
  return parent === undefined ? '' : `${comments.of(parent)}\n\n`;
}

const HEADINGS = ['setting', 'takes', 'default', 'variable', 'meaning'];

/** Columns are as wide as their widest cell, as the formatter of the repository wants them. */
function table(settings: readonly Setting[], comments: SchemaComments): string {
  const rows = [HEADINGS, ...settings.map((setting) => row(setting, comments))];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const lines = rows.map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)));
  lines.splice(
    1,
    0,
    widths.map((width) => '-'.repeat(width)),
  );
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

function row(setting: Setting, comments: SchemaComments): string[] {
  const field = setting.fields.at(-1) as DescField;
  const { meaning, defaultText: told } = comments.ofField(field);
  const written = defaultText(setting);
  const shownDefault = written === undefined ? (told ?? '') : `\`${written}\``;
  const [variable] = setting.environmentNames;
  const cells = [
    `\`${field.name}\``,
    takes(setting),
    shownDefault,
    variable === undefined ? '' : `\`${variable}\``,
    [meaning, ...wordMeanings(field, comments)].join(' '),
  ];
  return cells.map((cell) => cell.replaceAll('|', '\\|'));
}

const TYPE_NAMES: Readonly<Record<Setting['type'], string>> = {
  text: 'text',
  number: 'whole number',
  boolean: '`true`, `false`',
  duration: 'duration',
  time: 'time',
  bytes: 'size',
  word: 'word',
  'list of texts': 'list of texts',
  'map of texts': 'mapping of texts',
};

function takes(setting: Setting): string {
  const words = wordsOf(setting);
  if (words) return words.map((word) => `\`${word}\``).join(', ');
  const { range, type } = setting;
  if (range === undefined) return TYPE_NAMES[type];
  return `${TYPE_NAMES[type]}, ${formatQuantity(range.min, type)} to ${formatQuantity(range.max, type)}`;
}

function wordMeanings(field: DescField, comments: SchemaComments): string[] {
  if (field.fieldKind !== 'enum') return [];
  return [...enumWords(field.enum)].map(([word, value]) => `\`${word}\`: ${comments.of(value)}`);
}
