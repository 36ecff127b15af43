/** What was found in, and done to, what a server sent. */
export interface Report {
  /** How often each detector found something. */
  readonly redacted: Record<string, number>;
  /** Texts from which invisible characters were taken. */
  invisible: number;
  /** The highest score of instructions, and the signals of the text that has it. */
  score: number;
  signals: readonly string[];
  /** From this score on it is told. */
  readonly minScore: number;
  /** True when sentences were left out. */
  isCut: boolean;
  /** True when texts were cut because all of it was too large. */
  isShortened: boolean;
  /** Why it cannot go on as it is. */
  denied?: { readonly rule: string; readonly reason: string; readonly isTooLarge?: boolean };
}

export function newReport(minScore: number): Report {
  return { redacted: {}, invisible: 0, score: 0, signals: [], minScore, isCut: false, isShortened: false };
}
