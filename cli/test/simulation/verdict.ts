/** Whether a run is as it should be: the first thing that is not ends it. */
export class Verdict {
  private first: string | undefined;

  get failure(): string | undefined {
    return this.first;
  }

  fail(what: string): void {
    this.first ??= what;
  }
}
