/** The port that says whether the newest revision is given to all nodes, or to some of them first. */
export interface Gate {
  /** The newest revision, when only some nodes are given it; the others stay at the one before. */
  readonly heldRevision: number | undefined;
  /** It is given to the node of this name. */
  includes(node: string): boolean;
  /** Tells when any of that is another than before; the newest revision itself is heard of elsewhere. */
  onChange(listener: () => void): () => void;
}

/** Everybody is given the newest revision. */
export const OPEN_GATE: Gate = {
  heldRevision: undefined,
  includes: () => true,
  onChange: () => () => {},
};
