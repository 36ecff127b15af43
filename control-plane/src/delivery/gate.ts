/** The port that says whether the newest revision is given to all nodes, or to some of them first. */
export interface Gate {
  /** The newest revision, when only some nodes are given it; the others stay at the one before. */
  readonly heldRevision: number | undefined;
  /** It is given to the node of this name. */
  includes(node: string): boolean;
  /** It is given to callers, and to no node as a whole. */
  readonly isByCallers: boolean;
  /** How many of the callers of the node of this name are given it, beside what the node has; undefined for none. */
  trialAt(node: string): GatedTrial | undefined;
  /** Tells when any of that is another than before; the newest revision itself is heard of elsewhere. */
  onChange(listener: () => void): () => void;
}

/** Some callers are given the newest revision. */
export interface GatedTrial {
  /** Names the rollout. */
  readonly rollout: string;
  readonly principalsPercent: number;
}

/** Everybody is given the newest revision. */
export const OPEN_GATE: Gate = {
  heldRevision: undefined,
  includes: () => true,
  isByCallers: false,
  trialAt: () => undefined,
  onChange: () => () => {},
};
