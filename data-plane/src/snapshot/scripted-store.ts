/** A control plane of a few lines, for tests: revisions, the announcements of each, and pulls. */
import {
  type Announcement,
  AnnouncementSchema,
  create,
  type Entry,
  entryOf,
  type Position,
  PositionSchema,
  type PullResponse,
  PullResponseSchema,
  parseKeyText,
  type ResourceKey,
  ResourceSchema,
  ResourceState,
} from '@sluice/proto/cluster';

export class ScriptedStore {
  state = ResourceState.empty();
  revision = 0n;
  readonly announcements: Announcement[] = [];
  readonly digests = new Map<bigint, string>();

  constructor(readonly id: string) {
    this.remember();
  }

  get position(): Position {
    return create(PositionSchema, { storeId: this.id, revision: this.revision, digest: this.state.digest });
  }

  write(changed: readonly Entry[], removed: readonly string[], hasDelta = true): Announcement {
    const before = this.position;
    this.state = this.state.with({ changed, removed });
    this.revision++;
    this.remember();
    const announcement = create(AnnouncementSchema, {
      position: this.position,
      before,
      hasDelta,
      changed: hasDelta ? changed.map(({ bytes }) => bytes) : [],
      removed: hasDelta ? removed.map((key) => parseKeyText(key) as ResourceKey) : [],
    });
    this.announcements.push(announcement);
    return announcement;
  }

  private remember(): void {
    this.digests.set(this.revision, Buffer.from(this.state.digest).toString('hex'));
  }

  pieces(pieceCount = 3): PullResponse[] {
    const all = [...this.state.entries()].map(({ bytes }) => bytes);
    const size = Math.max(1, Math.ceil(all.length / pieceCount));
    return Array.from({ length: pieceCount }, (_, index) =>
      create(PullResponseSchema, {
        position: this.position,
        snapshot: true,
        changed: all.slice(index * size, (index + 1) * size),
        last: index === pieceCount - 1,
      }),
    );
  }
}

export const upstream = (name: string, port: number): Entry =>
  entryOf(
    create(ResourceSchema, {
      spec: {
        case: 'upstream',
        value: { name, transport: { case: 'http', value: { url: `http://127.0.0.1:${port}/mcp` } } },
      },
    }),
  );
