import {
  ECHO_TOOL,
  echoAnswerProblem,
  echoCallTemplate,
  initializeParams,
  parseMessage,
  requestBody,
  requestHeaders,
  type Target,
} from './mcp-request.js';

/** A target that has been checked: its tool is known, its sessions are open. */
export interface OpenTarget extends Target {
  /** Name of the echo tool at this endpoint; a federating one puts something in front of it. */
  tool: string;
  /** One for each connection in the legacy era, none in the modern one. */
  sessions: string[];
  /** Makes the body of a call for an id. */
  callBody: (id: number) => string;
  /** An id that was never used at this target. */
  nextId: () => number;
}

/** A gateway asks its upstreams in the background after it listens, so its first list may be empty. */
const TOOL_DEADLINE_MS = 15_000;
const TOOL_RETRY_MS = 100;
/** One request while nothing else runs. */
const REQUEST_DEADLINE_MS = 10_000;

/**
 * Opens sessions, finds the echo tool and calls it once.
 * @throws Error when an answer is wrong; the message says which and quotes it.
 */
export async function openTarget(target: Target, sessionCount: number): Promise<OpenTarget> {
  if (new URL(target.url).hostname !== '127.0.0.1') {
    throw new Error(`${target.url} is not on 127.0.0.1: load goes to this machine only`);
  }
  let lastId = 0;
  const nextId = () => ++lastId;
  const sessions: string[] = [];
  if (target.era === 'legacy') {
    while (sessions.length < sessionCount) sessions.push(await openSession(target, nextId()));
  }
  const tool = await findTool(target, sessions[0], nextId);
  const open = { ...target, tool, sessions, nextId, callBody: echoCallTemplate(target.era, tool) };
  const id = nextId();
  const answer = await post(target, 'tools/call', open.callBody(id), sessions[0], tool);
  const problem = echoAnswerProblem(target.era, id, answer.body);
  if (answer.status !== 200 || problem) {
    throw new Error(
      `tools/call of ${tool} at ${target.url} answered ${answer.status}: ${problem ?? answer.body}`,
    );
  }
  return open;
}

/** Ends the sessions of a target, as far as it still answers. */
export async function closeTarget(target: OpenTarget): Promise<void> {
  for (const session of target.sessions) await endSession(target, session);
}

/** Says that a session is not needed any more. */
export async function endSession(
  { url, headers }: Pick<Target, 'url' | 'headers'>,
  session: string,
): Promise<void> {
  const signal = AbortSignal.timeout(REQUEST_DEADLINE_MS);
  const response = await fetch(url, {
    method: 'DELETE',
    headers: { ...headers, 'Mcp-Session-Id': session },
    signal,
  });
  await response.arrayBuffer();
}

/** The legacy handshake. @throws Error when it is refused. */
export async function openSession(target: Target, id: number): Promise<string> {
  const body = requestBody('legacy', id, 'initialize', initializeParams());
  const answer = await post(target, 'initialize', body);
  if (answer.status !== 200 || !parseMessage(answer.body)?.result || answer.session === null) {
    const session = answer.session === null ? 'no Mcp-Session-Id' : 'a session';
    throw new Error(`initialize at ${target.url} answered ${answer.status}, ${session}: ${answer.body}`);
  }
  const initialized = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' });
  const accepted = await post(target, 'notifications/initialized', initialized, answer.session);
  if (accepted.status !== 202) {
    throw new Error(
      `notifications/initialized at ${target.url} answered ${accepted.status}: ${accepted.body}`,
    );
  }
  return answer.session;
}

async function findTool(target: Target, session: string | undefined, nextId: () => number): Promise<string> {
  const deadline = Date.now() + TOOL_DEADLINE_MS;
  for (;;) {
    const answer = await post(
      target,
      'tools/list',
      requestBody(target.era, nextId(), 'tools/list', {}),
      session,
    );
    const result = parseMessage(answer.body)?.result as { tools?: { name: string }[] } | undefined;
    const tool = result?.tools?.find(({ name }) => name.endsWith(ECHO_TOOL));
    if (tool) return tool.name;
    if (Date.now() > deadline) {
      throw new Error(`tools/list at ${target.url} has no ${ECHO_TOOL} (${answer.status}): ${answer.body}`);
    }
    await new Promise((resolve) => setTimeout(resolve, TOOL_RETRY_MS));
  }
}

async function post(target: Target, method: string, body: string, session?: string, name?: string) {
  const response = await fetch(target.url, {
    method: 'POST',
    headers: requestHeaders(target.era, method, { session, name, more: target.headers }),
    body,
    signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
  });
  return {
    status: response.status,
    session: response.headers.get('mcp-session-id'),
    body: await response.text(),
  };
}
