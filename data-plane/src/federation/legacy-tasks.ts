/**
 * Which tool began a task of 2025-11-25 (basic/utilities/tasks), by session and id. A server's ids go to legacy clients
 * as they are, so what they are about is known only to the worker that saw them begin.
 */
import type { Exchange } from '../exchange/exchange.js';
import { memberOf } from '../protocol/members.js';
import { stringOf } from '../protocol/text.js';
import { isTaskMethod } from '../protocol/untranslatable.js';
import type { UpstreamReply } from '../upstream/call.js';

/** Tasks of an upstream that are remembered; the oldest are forgotten first. */
const MAX_TASK_COUNT = 10_000;
/** Longest id, and longest name of a tool, that is remembered. */
const MAX_NAME_CHARS = 1_024;

const TASK = '"task"';

export class LegacyTasks {
  private readonly toolByTask = new Map<string, string>();

  /** Remembers the tool, when the reply says that it goes on as a task. */
  note(
    { session, bytes: asked, envelope: { method, name } }: Exchange,
    { bytes, envelope }: UpstreamReply,
  ): void {
    // Nearly none asks for a task.
    if (method !== 'tools/call' || envelope.result === undefined || !asked.includes(TASK)) return;
    const task = memberOf(bytes, envelope.result, 'task');
    const id =
      task && bytes[task.start] === 0x7b ? stringOf(bytes, memberOf(bytes, task, 'taskId')) : undefined;
    const tool = stringOf(asked, name);
    if (session === undefined || id === undefined || tool === undefined) return;
    if (id.length > MAX_NAME_CHARS || tool.length > MAX_NAME_CHARS) return;
    this.toolByTask.set(keyOf(session, id), tool);
    if (this.toolByTask.size <= MAX_TASK_COUNT) return;
    for (const oldest of this.toolByTask.keys()) {
      this.toolByTask.delete(oldest);
      return;
    }
  }

  /** The tool whose task a request is about; none when that is not known. */
  tools({ session, bytes, envelope: { method, params } }: Exchange): readonly string[] {
    if (session === undefined || params === undefined || !isTaskMethod(method)) return [];
    const id = stringOf(bytes, memberOf(bytes, params, 'taskId'));
    const tool = id === undefined ? undefined : this.toolByTask.get(keyOf(session, id));
    return tool === undefined ? [] : [tool];
  }
}

function keyOf(session: string, id: string): string {
  return `${session} ${id}`;
}
