import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { configurationSchema } from './json-schema.js';
import { referencePage } from './reference-page.js';
import { PACKAGE_FOLDER, SchemaComments } from './schema-comments.js';

/** Writes the JSON Schema and the reference page, both from the schema and its comments. */
const comments = SchemaComments.read();
const outputs = {
  'gen/config.schema.json': `${JSON.stringify(configurationSchema(comments), null, 2)}\n`,
  '../docs/reference/configuration.md': referencePage(comments),
};
for (const [path, content] of Object.entries(outputs)) {
  const file = join(PACKAGE_FOLDER, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}
