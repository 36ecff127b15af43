/** What some endpoints served, for whoever compares them with others. */
export class Tally {
  requestCount = 0;
  /** Of these, those that the gateway or an upstream failed. */
  errorCount = 0;
  /** Sum of the time that they took; milliseconds. */
  durationMs = 0;

  ended(ms: number, isFailed: boolean): void {
    this.requestCount++;
    this.durationMs += ms;
    if (isFailed) this.errorCount++;
  }

  /** One of several requests in one HTTP request, or one whose answer is a stream, failed. */
  failed(): void {
    this.errorCount++;
  }
}
