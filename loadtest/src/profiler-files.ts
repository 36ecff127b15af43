/** Names that the benchmark and the threads it profiles agree on, all within one folder. */

/** Variable that holds the folder. */
export const PROFILE_FOLDER_VARIABLE = 'LOADTEST_PROFILE_FOLDER';
/** Holds `start LABEL PID...` or `stop LABEL PID...`: the processes that are meant. */
export const COMMAND_FILE = 'command';

/** Exists as soon as a thread listens for commands. */
export function threadFileName(pid: number, threadId: number): string {
  return `thread.${pid}.${threadId}`;
}

/** Holds the profile of one thread. */
export function profileFileName(label: string, pid: number, threadId: number): string {
  return `${label}.${pid}.${threadId}.cpuprofile`;
}
