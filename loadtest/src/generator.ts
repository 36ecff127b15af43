/** The load generator as a process of its own: it obeys one command at a time, and ends with who started it. */
import { closeTarget, type OpenTarget, openTarget } from './call-target.js';
import type { GeneratorCommand, GeneratorReply } from './generator-messages.js';
import { load } from './load.js';
import { ping } from './ping.js';
import { OpenStreams } from './streams/open-streams.js';

const targets = new Map<string, OpenTarget>();
const streams = new OpenStreams();

function opened(key: string): OpenTarget {
  const target = targets.get(key);
  if (!target) throw new Error(`${key} was not opened`);
  return target;
}

async function obey(command: GeneratorCommand): Promise<unknown> {
  switch (command.do) {
    case 'open':
      targets.set(command.key, await openTarget(command.target, command.sessions));
      return undefined;
    case 'load':
      return load(opened(command.key), command.connections, command.seconds);
    case 'ping':
      return ping(
        command.keys.map((key) => [key, opened(key)]),
        command.secondsEach,
      );
    case 'listen':
      return streams.open(command.target, command.streams);
    case 'hang up':
      return streams.hangUp();
    case 'close':
      await Promise.allSettled([...targets.values()].map(closeTarget));
      targets.clear();
      return undefined;
  }
}

process.on('message', async (command: GeneratorCommand) => {
  let reply: GeneratorReply;
  try {
    reply = { result: await obey(command) };
  } catch (error) {
    const { message, cause } = error as Error;
    reply = { error: cause instanceof Error ? `${message}: ${cause.message}` : message };
  }
  process.send?.(reply);
});
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
// Ctrl-C reaches the whole process group; who started this process decides when it ends.
process.on('SIGINT', () => {});
