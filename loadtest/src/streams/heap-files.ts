/** What the benchmark and the gateway whose memory it measures agree on. */

/** Variable that holds the folder of the files. */
export const HEAP_FOLDER_VARIABLE = 'LOADTEST_HEAP_FOLDER';

export interface HeapFigures {
  /** What V8 keeps after a collection, buffers outside of its heap included. */
  heldBytes: number;
}

/** Holds the figures of one process. */
export function heapFileName(pid: number): string {
  return `heap.${pid}.json`;
}
