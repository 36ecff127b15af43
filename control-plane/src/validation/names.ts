/** Names that something may refer to; those that are there are only gone through for a hint. */
export interface Names extends Iterable<string> {
  has(name: string): boolean;
}
