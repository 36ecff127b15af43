import { BOTH_ERAS, type Era } from './era.js';
import { FEATURES } from './features.js';
import { FRONT_TRANSPORTS } from './front-transports.js';
import { LOSSES } from './losses.js';
import { LEGACY_TO_MODERN, MODERN_TO_LEGACY } from './mapping.js';
import { type Cell, FULL_RUN_COUNT, type Outcome } from './matrix.js';
import { UPSTREAM_TRANSPORTS } from './upstream-transports.js';

/** A cell and what it saw. */
export interface Seen {
  readonly cell: Cell;
  readonly outcome: Outcome;
}

const ERA_PAIRS = BOTH_ERAS.flatMap((client) => BOTH_ERAS.map((server) => ({ client, server })));

const arrow = (client: Era, server: Era) => `${client} → ${server}`;

/** What every feature came to, and which transports took part: what the test prints, and the page begins with. */
export function renderSeen(seen: readonly Seen[]): string {
  return `${featureTable(seen)}\n\n${transportTable(seen)}`;
}

function featureTable(seen: readonly Seen[]): string {
  const rows = FEATURES.map((feature) => [
    `**${feature.name}**: ${feature.sees}`,
    ...ERA_PAIRS.map(({ client, server }) => {
      const saw = seen
        .filter(({ cell }) => cell.feature === feature && isOf(cell, client, server))
        .map(({ outcome }) => outcome.saw);
      const count = (what: Outcome['saw']) => saw.filter((each) => each === what).length;
      const works = count('feature');
      const rest = [
        count('refusal') > 0 ? `${count('refusal')} refused` : '',
        count('fault') > 0 ? `${count('fault')} failed` : '',
      ].filter(Boolean);
      return [works === saw.length ? `all ${works}` : `${works} of ${saw.length}`, ...rest].join(', ');
    }),
  ]);
  const head = ['what the user sees', ...ERA_PAIRS.map(({ client, server }) => arrow(client, server))];
  return table([head, ...rows]);
}

function transportTable(seen: readonly Seen[]): string {
  const rows = FRONT_TRANSPORTS.map((front) => [
    front.name,
    ...UPSTREAM_TRANSPORTS.map((transport) => {
      const here = seen.filter(
        ({ cell: { pair } }) => pair.front === front && pair.server.transport === transport,
      );
      const pairs = ERA_PAIRS.filter(({ client, server }) =>
        here.some(({ cell }) => isOf(cell, client, server)),
      );
      const words = pairs.map(({ client, server }) => arrow(client, server)).join(', ');
      return pairs.length === ERA_PAIRS.length ? 'all four' : words || '–';
    }),
  ]);
  return table([['client over', ...UPSTREAM_TRANSPORTS.map(({ name }) => `server over ${name}`)], ...rows]);
}

function isOf({ pair }: Cell, client: Era, server: Era): boolean {
  return pair.client === client && pair.server.era === server;
}

/** The page docs/reference/eras.md. */
export function renderErasPage(seen: readonly Seen[]): string {
  const ways = new Set(seen.map(({ cell }) => cell.pair)).size;
  const sections = [
    '# The eras, feature by feature',
    '<!-- Made by cli/test/matrix from what its run saw: SLUICE_UPDATE_DOCS=1 npm test -- matrix -->',
    INTRODUCTION,
    '## What was seen',
    `${FEATURES.length} features, and ${ways} ways from a client to a server: ${seen.length} tests, with what cannot be said.\n` +
      'A way is the era and transport of the client, the era and transport of the server, and the path:\n' +
      '`/mcp/{upstream}` for all transports; `/mcp` over streamable HTTP to servers over that, WebSocket and stdio, and over\nWebSocket to servers over streamable HTTP. `npm run test:full` takes `/mcp` over all transports\n' +
      `too: ${FULL_RUN_COUNT} tests.`,
    renderSeen(seen),
    REFUSED,
    '## What becomes what: modern client, legacy server',
    ...MODERN_TO_LEGACY.flatMap(([group, rows]) => [`### ${group}`, mappingTable(rows)]),
    '## What becomes what: legacy client, modern server',
    ...LEGACY_TO_MODERN.flatMap(([group, rows]) => [`### ${group} (legacy client)`, mappingTable(rows)]),
    '## What cannot be said',
    CANNOT_BE_SAID,
    lossTable(seen),
    LIMITS,
  ];
  return `${sections.join('\n\n')}\n`;
}

const INTRODUCTION = `The tables of this page are made from a test run: the official clients on one side of a gateway, a server on the
other, of either era, over every transport. "Modern" is revision 2026-07-28. "Legacy" is 2024-11-05 to 2025-11-25,
here with the newest of them. Where both ends are of one era, messages pass with the bytes they came in.
[How the eras differ](../concepts/eras.md) is told elsewhere.`;

const REFUSED = `"Refused" is a question over a connection that is shared by many clients: nobody can tell whose question it is, so
the server is told that the client cannot be asked, and [why](../concepts/questions.md).`;

function lossTable(seen: readonly Seen[]): string {
  const rows = LOSSES.map((loss) => {
    const outcomes = seen.filter(({ cell }) => cell.loss === loss).map(({ outcome }) => outcome);
    const instead = new Set(
      outcomes.map((outcome) => (outcome.saw === 'loss' ? outcome.instead : 'something else')),
    );
    return [loss.name, arrow(loss.client, loss.server), [...instead].join('; or ')];
  });
  return table([['what', 'client → server', 'what is seen'], ...rows]);
}

const CANNOT_BE_SAID = `Where one end knows something that the other has no word for. An error names the feature, both revisions, and the
paragraph of the specification.`;

const LIMITS = `Beyond that:

- Names of questions: a legacy server gives none, so that a modern client sees those that are made here.
- A modern server that asks for no more than its own state to come back is answered after 200 ms, and 32 rounds of
  questions are as many as one call may have.
- \`notifications/elicitation/complete\` does not reach a modern client, which learns the outcome by its retry; a legacy
  client of a modern server never hears it.
- A legacy server that asks outside of any call cannot ask a modern client, and is told so. Over streamable HTTP it is
  told so too when it asks outside of a call's stream while several calls are under way.
- State that a legacy server keeps in its session is not the modern client's own. Over pipes, WebSocket and HTTP+SSE
  each call that may ask has a session for itself while it runs.
- Methods of one era from a client of the other get -32601, as the client's own revision says.
- On \`/mcp\`, methods that the gateway does not know, tasks among them, get -32601 in all eras.`;

function mappingTable(rows: readonly (readonly string[])[]): string {
  return table([['', 'the client', 'the server'], ...rows]);
}

function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  return [head, head.map(() => '---'), ...body].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
