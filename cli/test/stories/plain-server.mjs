// @ts-check
// An MCP server in plain Node, without the SDK: it starts as fast as a bare process, and its tools do what a
// story needs to see (wait until told, count what was cancelled, ask back, grow, crash).
//
//   node plain-server.mjs [--http PORT] [--era legacy|modern] [--name NAME] [--tools a,b] [--numbered N]
//                         [--page-size N] [--lists-after MS] [--log-level LEVEL]
//                         [--asking-tools a,b]
//
// Over stdio it is one session; over HTTP (127.0.0.1, path /mcp) it has sessions in the legacy era. There it
// prints one line of JSON when it listens: {"listening":"http://…/mcp"}.
import { parseArgs } from 'node:util';
import { PlainSession, PlainWorld } from './plain-session.mjs';

const { values } = parseArgs({
  options: {
    http: { type: 'string' },
    era: { type: 'string', default: 'legacy' },
    name: { type: 'string', default: 'plain' },
    tools: { type: 'string', default: '' },
    numbered: { type: 'string', default: '0' },
    'page-size': { type: 'string', default: '1000' },
    'lists-after': { type: 'string', default: '0' },
    'log-level': { type: 'string', default: 'debug' },
    'asking-tools': { type: 'string', default: '' },
  },
});

const world = new PlainWorld({
  era: values.era === 'modern' ? 'modern' : 'legacy',
  name: values.name,
  extraTools: [
    ...values.tools.split(',').filter(Boolean),
    ...Array.from({ length: Number(values.numbered) }, (_, i) => `tool_${String(i).padStart(3, '0')}`),
  ],
  pageSize: Number(values['page-size']),
  listsAfterMs: Number(values['lists-after']),
  logLevel: values['log-level'],
  askingTools: values['asking-tools'].split(',').filter(Boolean),
});

if (values.http === undefined) serveStdio();
else (await import('./plain-http.mjs')).serveHttp(world, Number(values.http));

function serveStdio() {
  /** @param {object} message */
  const send = (message) => void process.stdout.write(`${JSON.stringify(message)}\n`);
  const session = new PlainSession(world, send);
  let rest = '';
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') session.receive(JSON.parse(line), send);
  });
  process.stdin.on('end', () => process.exit(0));
}
