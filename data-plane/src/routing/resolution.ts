/** What a name or URI of a client stands for. Ambiguity is an answer of its own and never a guess. */
export type Resolution<Target> =
  | (Target & { readonly kind: 'found' })
  /** Several upstreams have it; `candidates` are the unambiguous forms. */
  | { readonly kind: 'ambiguous'; readonly candidates: readonly string[] }
  /** `nearest` is what was probably meant. */
  | { readonly kind: 'unknown'; readonly nearest?: string };
