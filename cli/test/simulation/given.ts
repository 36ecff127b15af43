/**
 * To whom rollouts gave revisions, from what was written to the store, whatever became of it since: whoever else runs
 * one that is held back, or gives it to callers, was not to.
 */
import { fromBinary, RolloutSchema, RolloutState } from '@sluice/proto/cluster';

interface Given {
  readonly nodes: Set<string>;
  isPromoted: boolean;
  /** The most of the callers; undefined: whole nodes are given it. */
  principalsPercent: number | undefined;
}

export class GivenByRollouts {
  private readonly all = new Map<string, Given>();

  /** Somebody wrote how far a rollout has come. */
  written(value: Uint8Array): void {
    const { id, nodes, state, plan, step } = fromBinary(RolloutSchema, value);
    const given = this.all.get(id) ?? { nodes: new Set(), isPromoted: false, principalsPercent: undefined };
    this.all.set(id, given);
    for (const node of nodes) given.nodes.add(node);
    if (state === RolloutState.PROMOTED) given.isPromoted = true;
    const percent = plan?.steps[step - 1]?.principalsPercent;
    if (percent !== undefined) given.principalsPercent = Math.max(percent, given.principalsPercent ?? 0);
  }

  /** Whether a node may run the revision of a rollout. */
  isToRun(id: string, node: string): boolean {
    const given = this.all.get(id);
    if (given === undefined) return false;
    return given.isPromoted || (given.principalsPercent === undefined && given.nodes.has(node));
  }

  /** Whether a node may give it to so many callers. */
  isToTry(id: string, node: string, principalsPercent: number): boolean {
    const given = this.all.get(id);
    return given?.nodes.has(node) === true && principalsPercent <= (given.principalsPercent ?? 0);
  }
}
