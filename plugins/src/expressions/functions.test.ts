import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileExpression } from './expression.js';
import { isBelow, mayBeBelow } from './paths.js';
import { isWithin, scheduleProblem, wallClock } from './schedule.js';

describe('a path', () => {
  it.each([
    '/etc',
    '/etc/',
    '/etc/passwd',
    '//etc//passwd',
    '/./etc/passwd',
    '/tmp/../etc/passwd',
    '/tmp/../../../../etc/passwd',
    '../../etc/passwd',
    'etc/passwd',
    '/ETC/passwd',
    '\\etc\\passwd',
    'C:\\etc\\passwd',
    'file:///etc/passwd',
    'FILE:/etc/passwd',
    'file://localhost/etc/passwd',
    '/%65tc/passwd',
    '/tmp/%2e%2e/etc/passwd',
    '/tmp/%2e%2e%2fetc%2fpasswd',
    '/tmp/%252e%252e/etc/passwd',
    '/tmp/%25252e%25252e/etc/passwd',
    '/tmp/..%5cetc/passwd',
    '/etc/passwd\0.txt',
    '/etc\0/../tmp',
    '/e\u200btc/passwd',
    '/\uff45tc/passwd',
    '/tmp/\uff0e\uff0e/etc/passwd',
    '/tmp/\u2025/etc/passwd',
    '\uff0fetc\uff0fpasswd',
    '~root/../etc/passwd',
    '$HOME/../../etc/passwd',
    '/tmp/$(echo ..)/etc/passwd',
    '/tmp/`echo ..`/etc',
    '/e?c/passwd',
    '/{etc,tmp}/passwd',
    '{/etc,/tmp}/passwd',
    '/*/passwd',
    '/[e]tc/passwd',
    '/proc/self/root/etc/passwd',
    '/proc/1/cwd/passwd',
    '/dev/fd/3',
    '\\\\?\\C:\\etc\\hosts',
    '\\\\localhost\\C$\\etc\\hosts',
    'C:etc\\hosts',
    '/etc./passwd',
    '/etc /passwd',
    '/etc::$INDEX_ALLOCATION/passwd',
    '/tmp/.. /etc/passwd',
    '/tmp/%c0%ae%c0%ae/etc/passwd',
    '/tmp/..%c0%afetc/passwd',
    '/tmp/%u002e%u002e/etc/passwd',
    `/${'a/'.repeat(5_000)}`,
    '/etc//../passwd',
    '/etc/c:/../passwd',
    '/etc/?/../passwd',
  ])('may be below /etc: %.40s', (path) => {
    expect(mayBeBelow(path, '/etc')).toBe(true);
  });

  it.each([
    '/etcetera',
    '/tmp/etc',
    '/home/etc/passwd',
    '/tmp/..etc/passwd',
    '',
    '.',
    '/',
    'notes%20etc.txt',
  ])('is not below /etc: %s', (path) => {
    expect(mayBeBelow(path, '/etc')).toBe(false);
  });

  it.each([
    '/project',
    '/project/',
    '/project/a',
    '/project/./a',
    '/project/a/../b',
    '/project/[slug]/$id.tsx',
    '//project/a%20b',
    '/project/\u00e4',
  ])('is below /project: %s', (path) => {
    expect(isBelow(path, '/project')).toBe(true);
  });

  it.each([
    'project/a',
    './project',
    '/projectspace',
    '/project/..',
    '/project/../etc',
    '/project/%2e%2e/etc',
    '/project/%252e%252e/etc',
    '/project/..\\etc',
    '/project/\uff0e\uff0e/etc',
    '/project/.\u200b./etc',
    '/PROJECT/a',
    '/project/.. /etc',
    '/project/%c0%ae%c0%ae/etc',
    '/project/%u002e%u002e/etc',
    '/project/$(echo ..)/etc',
    '/project/`echo ..`',
    '/a//../project',
    '/project/%2e%2e/%2f/project',
    '/a/c:/../project',
    '/a/?/../project',
    'C:\\project',
    '/tmp\0/project',
    `/project/${'a/'.repeat(5_000)}`,
  ])('is not below /project for certain: %.40s', (path) => {
    expect(isBelow(path, '/project')).toBe(false);
  });

  it('that is certainly below a folder may be below it', () => {
    const parts = fc.constantFrom(
      'project',
      'etc',
      '..',
      '.',
      '%2e%2e',
      '/',
      '\\',
      '%2f',
      'a',
      '\u200b',
      '\0',
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 12 }), (each) => {
        const path = `/${each.join('/')}`;
        expect(isBelow(path, '/project') && !mayBeBelow(path, '/project')).toBe(false);
        // A server that decodes and resolves would land there.
        const plain = new URL(`file://${path.replaceAll(/[\0\u200b]/g, '')}`).pathname;
        if (isBelow(path, '/project')) expect(`${plain}/`).toMatch(/^\/+project\//);
      }),
    );
  });
});

describe('a schedule', () => {
  const at = (text: string) => new Date(text);

  it.each([
    ['Mon-Fri 08:00-18:00', '2026-03-02T07:00:00Z', true],
    ['Mon-Fri 08:00-18:00', '2026-03-02T06:59:59Z', false],
    ['Mon-Fri 08:00-18:00', '2026-03-02T17:00:00Z', false],
    ['Mon-Fri 08:00-18:00', '2026-03-01T10:00:00Z', false],
    ['Sat 09:00-12:00, Sun 10:00-11:00', '2026-03-01T09:30:00Z', true],
    ['fri-mon 00:00-24:00', '2026-03-02T10:00:00Z', true],
    ['fri-mon 00:00-24:00', '2026-03-03T10:00:00Z', false],
    ['22:00-06:00', '2026-03-02T22:00:00Z', true],
    ['Mon 22:00-06:00', '2026-03-03T04:59:00Z', true],
    ['Mon 22:00-06:00', '2026-03-02T04:59:00Z', false],
    // Clocks go forward in the night to March 29.
    ['Sun 03:00-04:00', '2026-03-29T01:00:00Z', true],
    ['Sun 02:00-03:00', '2026-03-29T00:30:00Z', false],
  ])('%s holds at %s in Berlin: %s', (schedule, time, expected) => {
    expect(isWithin(at(time), schedule, 'Europe/Berlin')).toBe(expected);
  });

  it('knows what the platform knows about time zones', () => {
    const zones = ['Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu', 'Pacific/Auckland', 'UTC'];
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.integer({ min: 0, max: 2_000_000_000_000 }),
        (timeZone, atMs) => {
          const text = new Date(atMs).toLocaleTimeString('en-GB', {
            timeZone,
            hour: '2-digit',
            minute: '2-digit',
          });
          const [hour, minute] = text.split(':').map(Number) as [number, number];
          expect(wallClock(atMs, timeZone).minutes).toBe(hour * 60 + minute);
        },
      ),
      { numRuns: 300 },
    );
  });

  it.each([
    '',
    'always',
    'Mon',
    '8:00-18:00',
    '08:00-25:00',
    '08:60-09:00',
    'Mon-Fry 08:00-09:00',
    '24:00-01:00',
  ])('%j is none', (text) => {
    expect(scheduleProblem(text)).toMatch(/is no part of a schedule/);
  });
});

describe('expressions', () => {
  const value = (source: string, locals: object) => {
    const compiled = compileExpression(source, Object.keys(locals));
    if (!compiled.ok) throw new Error(compiled.problem);
    return compiled.it.value({}, locals as never);
  };
  const now = new Date('2026-03-01T23:30:00Z');

  it.each<[string, unknown]>([
    ['now.getHours("Europe/Berlin")', 0],
    ['now.getMinutes("Asia/Kathmandu")', 15],
    ['now.getDayOfWeek("Europe/Berlin")', 1],
    ['now.getHours()', 23],
    ['now.within("Mon 00:00-01:00", "Europe/Berlin")', true],
    ['path.isBelow("/tmp")', true],
    ['path.mayBeBelow("/etc")', false],
  ])('%s', (source, expected) => {
    expect(value(source, { now, path: '/tmp/a' })).toBe(expected);
  });

  it.each<[string, RegExp]>([
    ['now.within(path, "UTC")', /not written out/],
    ['now.within("Mon 09:00-10:00", path)', /not written out/],
    ['now.getHours(path)', /not written out/],
    ['now.getHours("Nowhere")', /is no time zone/],
    ['now.within("soon", "UTC")', /no part of a schedule/],
  ])('%s is refused at once', (source, message) => {
    expect(() => value(source, { now, path: '' })).toThrow(message);
  });
});
