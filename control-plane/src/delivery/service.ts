/**
 * DeliveryService: what nodes pull, and the stream over which they say what they run and are told what to do. Messages
 * that go to many are encoded once.
 */
import {
  type ServerDuplexStream,
  type ServerWritableStream,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { type ConnectRequest, DeliveryService, type Position, type PullRequest } from '@sluice/proto/cluster';
import { serviceDefinition } from '@sluice/proto/grpc';
import type { ConfigurationHead } from '../revisions/head.js';
import { SYSTEM_TIMING, type Timing } from '../timing.js';
import { admit, refusalOf } from './admission.js';
import { encodeAnnouncement, NewestAnnouncements } from './connect-response.js';
import type { DeliveredView } from './delivered-view.js';
import { type ConnectionOptions, NodeConnection } from './node-connection.js';

export interface DeliveryOptions extends ConnectionOptions {
  readonly head: ConfigurationHead;
  /** Announcements reach nodes over NATS at the moment. */
  readonly isOnNats: () => boolean;
  /** Something failed that no caller is told about. */
  readonly onTrouble: (error: unknown) => void;
}

/** Whoever takes nothing of an answer for so long has gone, or keeps what is answered in memory for nothing. */
const TAKEN_WITHIN_MS = 30_000;

/** What is served of it, and how it ends. */
export interface Delivery {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  /** Tells all nodes over their streams what holds: those that heard it over NATS may have missed something. */
  announceAll(): void;
  /** Who may come in is another question now: ends the streams of those who may not, or see something else. */
  admitAgain(): void;
  /** Ends the streams of all nodes. */
  close(): void;
}

export function deliveryService(options: DeliveryOptions): Delivery {
  const connections = new Set<NodeConnection>();
  const newest = new NewestAnnouncements();
  const endings = [
    options.views.onChange((view) => {
      const isOnNats = options.isOnNats();
      for (const connection of connections) connection.announce(view, newest.of(view), isOnNats);
    }),
    options.views.onAssignment(() => {
      for (const connection of connections) connection.assign();
    }),
  ];
  return {
    definition: withEncodedResponses(serviceDefinition(DeliveryService)),
    implementation: {
      pull: (call: ServerWritableStream<PullRequest, Buffer>) => void pull(options, call),
      connect: (call: ServerDuplexStream<ConnectRequest, Buffer>) => {
        const connection = new NodeConnection(call, options, () => connections.delete(connection));
        connections.add(connection);
      },
    },
    announceAll() {
      const encoded = new Map<DeliveredView, Buffer>();
      for (const connection of connections) {
        const { view } = connection;
        if (view === undefined) continue;
        const response = encoded.get(view) ?? encodeAnnouncement(view.bareAnnouncement);
        encoded.set(view, response);
        connection.announce(view, response, false);
      }
    },
    admitAgain() {
      for (const connection of [...connections]) connection.admitAgain();
    },
    close() {
      for (const end of endings) end();
      for (const connection of connections) connection.end(status.UNAVAILABLE, 'the control plane stops');
    },
  };
}

/** Methods that answer with what is encoded already. */
function withEncodedResponses(definition: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => [
      name,
      { ...method, responseSerialize: (encoded: Buffer) => encoded },
    ]),
  );
}

async function pull(
  options: DeliveryOptions,
  call: ServerWritableStream<PullRequest, Buffer>,
): Promise<void> {
  const { views, head } = options;
  let view: DeliveredView | undefined;
  try {
    const { have, everything, node, trial } = call.request;
    view = views.use(admit(options.access, call, call.request));
    if (have !== undefined) await catchUp(head, views.given(view, node, have), have);
    const given = trial ? views.triedBeside(view, node)?.view : views.given(view, node, have);
    if (given === undefined) {
      call.emit('error', { code: status.FAILED_PRECONDITION, details: 'no caller is given anything else' });
      return;
    }
    for (const piece of given.pull(everything ? undefined : have)) {
      if (call.cancelled) return;
      if (!call.write(piece) && !(await writable(call, options.timing ?? SYSTEM_TIMING))) {
        call.emit('error', { code: status.DEADLINE_EXCEEDED, details: 'nobody takes the answer' });
        return;
      }
    }
    call.end();
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal.code === status.INTERNAL) options.onTrouble(error);
    call.emit('error', refusal);
  } finally {
    if (view) views.release(view);
  }
}

/**
 * A node that is ahead of this replica, or has something of a store that is not known here, heard of what is still on
 * its way here, or the store was restored from a backup. One that has something else than was here at its revision is on
 * a line of revisions that began after this replica last looked, or before. The store knows which; a node never goes
 * back because a replica is late.
 */
async function catchUp(head: ConfigurationHead, view: DeliveredView, have: Position): Promise<void> {
  const { storeId, revision } = have;
  const isNodeBehind = storeId === head.storeId ? Number(revision) <= head.revision : head.isAfter(storeId);
  if (!isNodeBehind || view.contradicts(have)) await head.refresh();
}

/** Resolves with false when nothing of what was written is taken in time. */
function writable(call: ServerWritableStream<PullRequest, Buffer>, timing: Timing): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (isTaken: boolean) => {
      endTimer();
      call.off('drain', taken);
      call.off('cancelled', taken);
      resolve(isTaken);
    };
    const taken = () => end(true);
    const endTimer = timing.after(TAKEN_WITHIN_MS, () => end(false));
    call.on('drain', taken);
    call.on('cancelled', taken);
  });
}
