/** Times of the week, as in `Mon-Fri 08:00-18:00, Sat 09:00-12:00`, and clocks of time zones. */

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const PART =
  /^(?:(sun|mon|tue|wed|thu|fri|sat)(?:-(sun|mon|tue|wed|thu|fri|sat))? )?(\d\d):(\d\d)-(\d\d):(\d\d)$/i;
const DAY_MINUTES = 1_440;
/** Zones change their clocks at whole quarters of an hour. */
const QUARTER_MS = 900_000;

interface Span {
  /** Days of the week on which it begins; 0 is Sunday. */
  readonly days: ReadonlySet<number>;
  readonly fromMinutes: number;
  /** Not after `fromMinutes` where it goes on into the next day. */
  readonly untilMinutes: number;
}

/** Why a text is no schedule; undefined when it is one. */
export function scheduleProblem(text: string): string | undefined {
  try {
    scheduleOf(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Why there is no such time zone; undefined when there is. */
export function zoneProblem(zone: string): string | undefined {
  try {
    zoneOf(zone);
    return undefined;
  } catch {
    return `${JSON.stringify(zone)} is no time zone; write one of IANA's, for example Europe/Berlin, or UTC`;
  }
}

/** True when the time lies in the schedule. Ends do not belong to it. Throws for what is none. */
export function isWithin(at: Date, schedule: string, zone: string): boolean {
  const { day, minutes } = wallClock(at.getTime(), zone);
  return scheduleOf(schedule).some(({ days, fromMinutes, untilMinutes }) => {
    if (fromMinutes < untilMinutes) return days.has(day) && minutes >= fromMinutes && minutes < untilMinutes;
    return (days.has(day) && minutes >= fromMinutes) || (days.has((day + 6) % 7) && minutes < untilMinutes);
  });
}

export function wallClock(atMs: number, zone: string): { day: number; minutes: number } {
  const local = new Date(atMs + zoneOf(zone).offsetMs(atMs));
  return { day: local.getUTCDay(), minutes: local.getUTCHours() * 60 + local.getUTCMinutes() };
}

/** A formatter takes long to make and long to use: it is asked once for each quarter of an hour. */
class Zone {
  private readonly format: Intl.DateTimeFormat;
  private quarter = Number.NaN;
  private offset = 0;

  constructor(timeZone: string) {
    this.format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    });
  }

  offsetMs(atMs: number): number {
    const quarter = Math.floor(atMs / QUARTER_MS);
    if (quarter !== this.quarter) {
      const startMs = quarter * QUARTER_MS;
      const part = Object.fromEntries(
        this.format.formatToParts(startMs).map(({ type, value }) => [type, Number(value)]),
      ) as Record<string, number>;
      const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = part;
      this.offset = Date.UTC(year, month - 1, day, hour, minute) - startMs;
      this.quarter = quarter;
    }
    return this.offset;
  }
}

/** Written out in configurations, so callers cannot make more of them. */
const zones = new Map<string, Zone>();
const schedules = new Map<string, readonly Span[]>();

function zoneOf(zone: string): Zone {
  const known = zones.get(zone) ?? new Zone(zone);
  zones.set(zone, known);
  return known;
}

function scheduleOf(text: string): readonly Span[] {
  const known = schedules.get(text) ?? text.split(',').map((part) => spanOf(part.trim()));
  schedules.set(text, known);
  return known;
}

function spanOf(text: string): Span {
  const [, first, last, ...times] = PART.exec(text) ?? [];
  const [hour = 99, minute = 99, endHour = 99, endMinute = 99] = times.map(Number);
  const [fromMinutes, untilMinutes] = [hour * 60 + minute, endHour * 60 + endMinute];
  const isTime = minute < 60 && endMinute < 60 && fromMinutes < DAY_MINUTES && untilMinutes <= DAY_MINUTES;
  if (!isTime)
    throw new TypeError(`${JSON.stringify(text)} is no part of a schedule; write Mon-Fri 08:00-18:00`);
  return { days: daysOf(first, last), fromMinutes, untilMinutes };
}

function daysOf(first: string | undefined, last: string | undefined): Set<number> {
  if (first === undefined) return new Set(DAYS.keys());
  const indexOf = (day: string) => (DAYS as readonly string[]).indexOf(day.toLowerCase());
  const from = indexOf(first);
  const count = last === undefined ? 1 : ((indexOf(last) - from + 7) % 7) + 1;
  return new Set(Array.from({ length: count }, (_, offset) => (from + offset) % 7));
}
