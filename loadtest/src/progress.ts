/** Shows on stderr how far the run is: one line that is written over on a terminal, else a line for each step. */
export class Progress {
  #done = 0;
  #total = 0;
  #secondsLeft = 0;

  /** What comes: a number of steps, and how long they take together. */
  plan(steps: number, seconds: number): void {
    this.#total += steps;
    this.#secondsLeft += seconds;
  }

  /** Says what is being done, outside of the planned steps. */
  note(text: string): void {
    this.#write(text);
  }

  /** Says that a planned step begins. */
  step(text: string, seconds: number): void {
    this.#done += 1;
    this.#write(`[${this.#done}/${this.#total}, ${formatTime(this.#secondsLeft)} left] ${text}`);
    this.#secondsLeft -= seconds;
  }

  /** Leaves the line, so that what follows begins on its own. */
  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }

  #write(text: string): void {
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
  }
}

function formatTime(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 90 ? `${whole} s` : `${Math.round(whole / 60)} min`;
}
