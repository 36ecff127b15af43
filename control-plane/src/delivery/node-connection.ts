/** One node's standing stream, from its Hello to its end. */

import { equals } from '@bufbuild/protobuf';
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import {
  type ConnectRequest,
  create,
  type Hello,
  type Order,
  type Trial,
  TrialSchema,
  viewId,
} from '@sluice/proto/cluster';
import type { Fleet } from '../fleet/fleet.js';

import type { KnownNode, NodeStream } from '../fleet/known-node.js';
import { SYSTEM_TIMING, type Timing } from '../timing.js';
import { admit, refusalOf } from './admission.js';
import { encodeAnnouncement, encodeResponse } from './connect-response.js';
import type { DeliveredView } from './delivered-view.js';
import type { NodeAccess } from './node-access.js';
import { announcementSubject, reportSubject } from './subjects.js';
import type { Views } from './views.js';

/** A stream on which nobody says who he is costs memory and nothing else. */
const HELLO_WITHIN_MS = 10_000;

/** Longest texts of a Hello. */
const MAX_HELLO_TEXT_LENGTH = 1_024;

/** They are shown on terminals. */
const CONTROL_CHARACTERS = /\p{Cc}/u;

export interface ConnectionOptions {
  readonly views: Views;
  readonly fleet: Fleet;
  readonly access: NodeAccess;
  readonly cluster: string;
  /** What announcements over NATS are signed with; undefined where there is none. */
  readonly announcementKey?: Uint8Array | undefined;
  readonly timing?: Timing | undefined;
}

export class NodeConnection implements NodeStream {
  private hello: Hello | undefined;
  private known: KnownNode | undefined;
  private given: DeliveredView | undefined;
  /** What was said last that some callers are to be given. */
  private trial: Trial | undefined;
  private readonly endHelloTimer: () => void;
  /** The node reads slowly: nothing more is given to the stream until it took what it has. */
  private isFull = false;
  private missedAnnouncement = false;
  private ended = false;

  constructor(
    private readonly call: ServerDuplexStream<ConnectRequest, Buffer>,
    private readonly options: ConnectionOptions,
    private readonly onEnd: () => void,
  ) {
    this.endHelloTimer = (options.timing ?? SYSTEM_TIMING).after(HELLO_WITHIN_MS, () =>
      this.end(status.DEADLINE_EXCEEDED, 'nobody said hello'),
    );
    call.on('data', (request: ConnectRequest) => this.take(request));
    call.on('drain', () => this.goOn());
    call.on('end', () => {
      this.forget();
      call.end();
    });
    // A connection that broke is no fault of ours: the node is back, or its lease ends.
    call.on('error', () => this.forget());
    call.on('cancelled', () => this.forget());
  }

  /** What the node is given; undefined before it said who it is. */
  get view(): DeliveredView | undefined {
    return this.given;
  }

  /** Tells the node where it stands when it is given another view than before, which is never said over NATS. */
  assign(): void {
    const before = this.given;
    if (this.known === undefined || before === undefined) return;
    const given = this.givenTo(this.known);
    this.given = given;
    if (given !== before) this.announce(given, encodeAnnouncement(given.bareAnnouncement), false);
    this.tellTrial(given);
  }

  /**
   * Says what some callers are to be given, when that is another than was said. When the node itself is to have another
   * revision it ends with that, not before: whoever was given the newest one is not to go back for a moment.
   */
  private tellTrial(given: DeliveredView, tellsNone = false): void {
    if (this.known === undefined || this.isFull) return;
    const tried = this.options.views.triedBeside(given, this.known.hello.node);
    const isOver = tried === undefined && given.position.revision !== this.trial?.base?.revision;
    if (isOver) this.trial = undefined;
    if (tried === undefined && this.trial === undefined && !tellsNone) return;
    const trial = create(TrialSchema, {
      ...(tried && {
        position: tried.view.position,
        base: tried.base,
        rollout: tried.rollout,
        principalsPercent: tried.principalsPercent,
      }),
    });
    if (this.trial !== undefined && equals(TrialSchema, this.trial, trial)) return;
    this.trial = tried && trial;
    this.write(encodeResponse({ case: 'trial', value: trial }));
  }

  /** @param isOnNats whoever said that he hears announcements there does so at the moment */
  announce(view: DeliveredView, response: Buffer, isOnNats: boolean): void {
    if (view !== this.given || (isOnNats && this.hello?.hearsAnnouncements)) return;
    if (this.isFull) this.missedAnnouncement = true;
    else this.write(response);
  }

  /** Whoever is not let in any more, or sees something else, has to come again. */
  admitAgain(): void {
    if (this.hello === undefined || this.known === undefined) return;
    try {
      const seen = admit(this.options.access, this.call, this.hello);
      if (viewId(seen) !== this.known.view.id)
        this.end(status.ABORTED, 'what this node may see is something else now');
    } catch (error) {
      const { code, details } = refusalOf(error);
      this.end(code, details);
    }
  }

  order(order: Order): void {
    this.write(encodeResponse({ case: 'order', value: order }));
  }

  replaced(): void {
    this.end(
      status.ABORTED,
      'another stream, or another start, of this node took its place; each node needs a name of its own',
    );
  }

  end(code: status, details: string): void {
    if (this.ended) return;
    this.forget();
    this.call.emit('error', { code, details });
  }

  private take({ content }: ConnectRequest): void {
    if (this.ended) return;
    if (content.case === 'hello') {
      this.greet(content.value);
      return;
    }
    if (this.hello === undefined || content.case === undefined) {
      this.end(status.INVALID_ARGUMENT, 'a stream begins with Hello');
      return;
    }
    const { node, incarnation } = content.value;
    if (node !== this.hello.node || incarnation !== this.hello.incarnation) {
      this.end(
        status.INVALID_ARGUMENT,
        `this stream is that of ${this.hello.node}; it cannot speak for ${node}`,
      );
      return;
    }
    const { fleet } = this.options;
    if (content.case === 'health') fleet.reported(content.value);
    else if (content.case === 'connections') fleet.listed(content.value);
    else fleet.acknowledged(content.value);
  }

  /** A node may say anew who it is, as when it hears announcements over NATS from now on. */
  private greet(hello: Hello): void {
    const { fleet, access, cluster, announcementKey } = this.options;
    try {
      const seen = admit(access, this.call, hello);
      const texts = [hello.incarnation, hello.version, hello.clientUrl];
      if (hello.incarnation === '' || texts.some(({ length }) => length > MAX_HELLO_TEXT_LENGTH)) {
        const message = `Hello needs an incarnation, and texts of at most ${MAX_HELLO_TEXT_LENGTH} characters`;
        this.end(status.INVALID_ARGUMENT, message);
        return;
      }
      if (texts.some((text) => CONTROL_CHARACTERS.test(text))) {
        this.end(status.INVALID_ARGUMENT, 'texts of Hello have no control characters');
        return;
      }
      if (this.hello !== undefined && !isSameStart(this.hello, hello)) {
        this.end(status.INVALID_ARGUMENT, `this stream is that of one start of ${this.hello.node}`);
        return;
      }
      if (this.isFull) {
        this.end(status.RESOURCE_EXHAUSTED, 'the node does not read what it is told');
        return;
      }
      this.endHelloTimer();
      this.hello = hello;
      this.known = fleet.joined(hello, seen, this);
      this.given = this.givenTo(this.known);
      this.write(
        encodeResponse({
          case: 'welcome',
          value: {
            cluster,
            announcementSubject: announcementSubject(cluster, this.given.id),
            reportSubject: reportSubject(cluster, hello.node),
            announcementKey: announcementKey ?? new Uint8Array(),
            healthIntervalMs: fleet.healthIntervalMs,
            position: this.given.position,
          },
        }),
      );
      // It may have something from another connection.
      this.tellTrial(this.given, this.options.views.heldRevision !== undefined);
    } catch (error) {
      const { code, details } = refusalOf(error);
      this.end(code, details);
    }
  }

  private givenTo({ view, hello, running }: KnownNode): DeliveredView {
    return this.options.views.given(view, hello.node, running);
  }

  private write(response: Buffer): void {
    if (!this.ended) this.isFull = !this.call.write(response);
  }

  private goOn(): void {
    this.isFull = false;
    if (this.given === undefined) return;
    if (this.missedAnnouncement) {
      this.missedAnnouncement = false;
      this.write(encodeAnnouncement(this.given.bareAnnouncement));
    }
    this.tellTrial(this.given);
  }

  private forget(): void {
    if (this.ended) return;
    this.ended = true;
    this.endHelloTimer();
    if (this.hello) this.options.fleet.disconnected(this.hello.node, this);
    this.onEnd();
  }
}

function isSameStart(one: Hello, other: Hello): boolean {
  return one.node === other.node && one.incarnation === other.incarnation;
}
