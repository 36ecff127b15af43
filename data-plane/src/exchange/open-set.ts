/**
 * Things that come and go with every request. A `Set` would do, but V8 makes a new table every few dozen
 * deletions, links the old one to it, and so keeps whole requests alive until the next full collection: a fifth of
 * the gateway's processor time went there. This one moves the last member into the gap.
 */
export interface Slotted {
  /** Place in its set; -1 outside. Written by the set only. */
  slot: number;
}

export class OpenSet<Member extends Slotted> {
  private readonly members: Member[] = [];

  get size(): number {
    return this.members.length;
  }

  add(member: Member): void {
    member.slot = this.members.length;
    this.members.push(member);
  }

  /** No-op for what is not a member. */
  delete(member: Member): void {
    const { slot } = member;
    if (slot < 0) return;
    const last = this.members.pop() as Member;
    member.slot = -1;
    if (last === member) return;
    this.members[slot] = last;
    last.slot = slot;
  }

  /** The members now; safe to change the set meanwhile. */
  toArray(): Member[] {
    return [...this.members];
  }
}
