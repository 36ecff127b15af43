// @ts-check
// The plain server over streamable HTTP. In the legacy era it has sessions, in the modern era none.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { PlainSession } from './plain-session.mjs';

/**
 * @typedef {import('./plain-session.mjs').PlainWorld} PlainWorld
 * @typedef {import('./plain-session.mjs').Message} Message
 * @typedef {import('node:http').IncomingMessage} IncomingMessage
 * @typedef {import('node:http').ServerResponse} ServerResponse
 */

/**
 * @param {PlainWorld} world
 * @param {number} port
 */
export function serveHttp(world, port) {
  /** @type {Map<string, { session: PlainSession, stream: ServerResponse | undefined }>} */
  const sessions = new Map();
  const serve = world.settings.era === 'modern' ? modern : legacy;
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    serve(request, response, body === '' ? undefined : JSON.parse(body));
  });
  server.listen(port, '127.0.0.1', () => {
    const address = /** @type {import('node:net').AddressInfo} */ (server.address());
    console.log(JSON.stringify({ listening: `http://127.0.0.1:${address.port}/mcp` }));
  });
  // A process that forked this one takes it along when it ends.
  process.on('disconnect', () => process.exit());

  /** @param {IncomingMessage} request @param {ServerResponse} response @param {Message | undefined} message */
  function legacy(request, response, message) {
    if (message?.method === 'initialize') {
      const id = randomUUID();
      /** @type {{ session: PlainSession, stream: ServerResponse | undefined }} */
      const entry = {
        session: new PlainSession(world, (said) => writeEvent(entry.stream, said)),
        stream: undefined,
      };
      sessions.set(id, entry);
      response.setHeader('mcp-session-id', id);
      answer(entry.session, message, response);
      return;
    }
    const id = String(request.headers['mcp-session-id']);
    const entry = sessions.get(id);
    if (entry === undefined) {
      respond(response, 404, {
        jsonrpc: '2.0',
        id: null,
        error: { code: -32001, message: 'Session not found' },
      });
    } else if (request.method === 'GET') {
      entry.stream = response;
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    } else if (request.method === 'DELETE') {
      entry.session.close();
      entry.stream?.end();
      sessions.delete(id);
      response.writeHead(200).end();
    } else if (message !== undefined) answer(entry.session, message, response);
  }

  /** @param {IncomingMessage} _request @param {ServerResponse} response @param {Message | undefined} message */
  function modern(_request, response, message) {
    if (message === undefined) {
      response.writeHead(405).end();
      return;
    }
    if (message.method === 'subscriptions/listen') {
      subscribe(message, response);
      return;
    }
    const session = new PlainSession(world, () => {});
    // Closing the stream is the cancellation.
    response.on('close', () => session.close());
    answer(session, message, response);
  }

  /** @param {Message} message @param {ServerResponse} response */
  function subscribe(message, response) {
    const _meta = { 'io.modelcontextprotocol/subscriptionId': message.id };
    const { notifications } = message.params;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    /** @param {Message} said */
    const send = (said) => writeEvent(response, { ...said, params: { ...said.params, _meta } });
    send({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: { notifications } });
    world.subscriptions.add(send);
    response.on('close', () => world.subscriptions.delete(send));
  }
}

/**
 * Answers with JSON when only the response comes, else with a stream.
 * @param {PlainSession} session
 * @param {Message} message
 * @param {ServerResponse} response
 */
function answer(session, message, response) {
  if (message.id === undefined || message.method === undefined) {
    session.receive(message, () => {});
    response.writeHead(202).end();
    return;
  }
  session.receive(message, (said) => {
    const isResponse = said.method === undefined;
    if (isResponse && !response.headersSent) {
      respond(response, 200, said);
      return;
    }
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
    writeEvent(response, said);
    if (isResponse) response.end();
  });
}

/** @param {ServerResponse} response @param {number} status @param {Message} message */
function respond(response, status, message) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(message));
}

/** @param {ServerResponse | undefined} response @param {Message} message */
function writeEvent(response, message) {
  response?.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
}
