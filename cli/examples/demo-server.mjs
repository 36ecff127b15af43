// @ts-check
// An MCP server with three small tools, for trying the gateway without an account anywhere.
//
//   node cli/examples/demo-server.mjs [--port N]
//
// It speaks streamable HTTP on 127.0.0.1, revision 2026-07-28 and the ones before it, and prints where it
// listens: {"listening":"http://127.0.0.1:N/mcp"}.

import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import {
  localhostHostValidation,
  localhostOriginValidation,
  toNodeHandler,
} from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

/** @type {Record<string, (a: number, b: number) => number>} */
const OPERATIONS = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => {
    if (b === 0) throw new Error('A number cannot be divided by zero');
    return a / b;
  },
};

/** @param {string} text */
const answer = (text) => ({ content: [{ type: /** @type {const} */ ('text'), text }] });

/** Makes the server that answers one request: nothing is kept between two. */
function createDemoServer() {
  const server = new McpServer({ name: 'sluice-demo', version: '1.0.0' });

  server.registerTool(
    'time',
    {
      description: 'Tells the time in a time zone',
      inputSchema: z.object({
        timeZone: z.string().default('UTC').describe('An IANA name, such as Europe/Lisbon'),
      }),
      annotations: { readOnlyHint: true },
    },
    ({ timeZone }) => {
      const now = new Date();
      return answer(now.toLocaleString('en-GB', { timeZone, dateStyle: 'full', timeStyle: 'long' }));
    },
  );

  server.registerTool(
    'calculator',
    {
      description: 'Calculates with two numbers',
      inputSchema: z.object({
        operation: z.enum(['add', 'subtract', 'multiply', 'divide']),
        a: z.number(),
        b: z.number(),
      }),
      outputSchema: z.object({ result: z.number() }),
      annotations: { readOnlyHint: true, idempotentHint: true },
    },
    ({ operation, a, b }) => {
      const result = OPERATIONS[operation]?.(a, b);
      return { ...answer(String(result)), structuredContent: { result } };
    },
  );

  server.registerTool(
    'echo',
    {
      description: 'Says what it is told',
      inputSchema: z.object({ text: z.string() }),
      annotations: { readOnlyHint: true, idempotentHint: true },
    },
    ({ text }) => answer(text),
  );

  return server;
}

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const handle = toNodeHandler(createMcpHandler(createDemoServer));
const isHostAllowed = localhostHostValidation();
const isOriginAllowed = localhostOriginValidation();

const http = createServer((request, response) => {
  // Without these checks a web page could reach this server through a name that it points at 127.0.0.1.
  if (isHostAllowed(request, response) && isOriginAllowed(request, response)) handle(request, response);
});
http.listen(Number(values.port), '127.0.0.1', () => {
  const address = /** @type {import('node:net').AddressInfo} */ (http.address());
  console.log(JSON.stringify({ listening: `http://127.0.0.1:${address.port}/mcp` }));
});

// A process that forked this one takes it along when it ends.
process.on('disconnect', () => process.exit());
