/** Commands about the clients of nodes. */
import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { EndConnectionResponseSchema, ListConnectionsResponseSchema } from '@sluice/proto/admin';
import { type ClientConnection, Presence } from '@sluice/proto/cluster';
import { AdminCallError } from '@sluice/sdk/admin';
import { EXIT } from '../exit-codes.js';
import { printable } from '../terminal.js';
import type { CommandNamed } from './commands.js';
import { printMessage, printTable } from './output.js';
import { age, type Surroundings } from './surroundings.js';

/** The most that the server gives at once. */
const PAGE_COUNT = 1_000;

interface OfNode {
  readonly node: string;
  readonly connection: ClientConnection;
}

export async function connections(
  { node, flags }: CommandNamed<'connections'>,
  surroundings: Surroundings,
): Promise<number> {
  const { err, paintErr, out } = surroundings;
  const { output = 'table', count } = flags;
  const names = node === undefined ? await presentNodes(surroundings) : [node];
  const found: OfNode[] = [];
  let unheardCount = 0;
  for (const name of names) {
    try {
      found.push(...(await connectionsOf(name, count - found.length, surroundings)));
    } catch (error) {
      // One that does not answer hides nothing of the others.
      const isUnheard = error instanceof AdminCallError && error.reason === 'NODE_UNREACHABLE';
      if (node !== undefined || !isUnheard) throw error;
      unheardCount += 1;
      err.write(`${paintErr.yellow('sluice:')} ${printable(error.message)}\n`);
    }
    if (found.length >= count) break;
  }
  if (output === 'name')
    out.write(found.map((each) => `${printable(`${each.node}/${each.connection.id}`)}\n`).join(''));
  else if (output !== 'table') {
    const response = create(ListConnectionsResponseSchema, {
      connections: found.map(({ connection }) => connection),
    });
    await printMessage(surroundings, output, ListConnectionsResponseSchema, response);
  } else {
    const nowMs = surroundings.nowMs();
    const head = [
      'NODE',
      'CONNECTION',
      'ENDPOINT',
      'TRANSPORT',
      'CALLER',
      'CLIENT',
      'REVISION',
      'CALLS',
      'USED',
    ];
    printTable(
      surroundings,
      head,
      found.map(({ node: name, connection }) => [
        printable(name),
        printable(connection.id),
        printable(connection.endpoint),
        printable(connection.transport),
        printable(connection.principal),
        printable(`${connection.clientName} ${connection.clientVersion}`.trim()),
        printable(connection.revision),
        connection.openExchanges,
        age(connection.lastUsed && timestampMs(connection.lastUsed), nowMs),
      ]),
    );
  }
  return unheardCount > 0 ? EXIT.unhealthy : EXIT.ok;
}

async function presentNodes({ client }: Surroundings): Promise<string[]> {
  const { nodes } = await client.fleet.listNodes({});
  return nodes.flatMap(({ hello, presence }) =>
    hello !== undefined && presence === Presence.PRESENT ? [hello.node] : [],
  );
}

async function connectionsOf(node: string, count: number, { client }: Surroundings): Promise<OfNode[]> {
  const found: OfNode[] = [];
  for (let pageToken = ''; ; ) {
    const pageSize = Math.min(PAGE_COUNT, count - found.length);
    const page = await client.fleet.listConnections({ node, pageSize, pageToken });
    found.push(...page.connections.map((connection) => ({ node, connection })));
    pageToken = page.nextPageToken;
    if (pageToken === '' || found.length >= count) return found;
  }
}

export async function closeConnection(
  { node, connection, flags }: CommandNamed<'closeConnection'>,
  surroundings: Surroundings,
): Promise<number> {
  const response = await surroundings.client.fleet.endConnection({ node, connection });
  const { output = 'table' } = flags;
  if (output !== 'table') await printMessage(surroundings, output, EndConnectionResponseSchema, response);
  else surroundings.out.write(`${printable(node)} was told to end ${printable(connection)}\n`);
  return EXIT.ok;
}
