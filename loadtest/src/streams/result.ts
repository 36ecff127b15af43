import type { Machine } from '../machine.js';
import type { Era } from '../mcp-request.js';

/** The JSON file of one run with `--streams`. */
export interface StreamResult {
  /** Raised when a field changes its meaning. */
  formatVersion: 1;
  measures: 'streams';
  startedAt: string;
  finishedAt: string;
  /** Streams that were opened between the first and the second reading. */
  streams: number;
  /** What one stream may cost. */
  limitBytes: number;
  machine: Machine;
  kinds: StreamCell[];
  /** What was wrong during the run, one sentence each. */
  problems: string[];
}

export interface StreamCell {
  kind: string;
  title: string;
  client: Era;
  upstream: Era;
  state: 'measured' | 'too few descriptors' | 'failed';
  /** Why it was not measured. */
  reason?: string;
  figures?: StreamFigures;
}

export interface StreamFigures {
  /** After a collection, with a few streams open, so that what the first ones cost once is in no figure. */
  before: Footprint;
  /** With all streams open and nothing happening. */
  open: Footprint;
  /** After a collection, when all streams were closed, and their sessions ended. */
  closed: Footprint;
  /** Resident memory, garbage of the opening included, against `before`. */
  bytesPerStream: number;
  /** What V8 keeps after a collection, against `before`. */
  heldBytesPerStream: number;
  /** Streams that ended before they were closed. */
  lostStreams: number;
}

/** What the data plane process holds. */
export interface Footprint {
  rssBytes: number;
  /** What V8 keeps after a collection: its heap and buffers outside of it. */
  heldBytes: number;
  descriptors: number;
}
