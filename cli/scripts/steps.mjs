import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
/** A step that is faster says nothing. */
const QUIET_MS = 1_000;
/** Without a terminal, a long step says at this interval that it is still alive. */
const SIGN_OF_LIFE_MS = 15_000;
/** Whether a line can be drawn over: on a terminal, where nobody asked for text without escape codes. */
const DRAWS = process.stdout.isTTY && process.env.TERM !== 'dumb' && !process.env.NO_COLOR;

/**
 * Runs a program, saying what it is for as soon as it takes longer than a second. Its output is shown only when
 * it fails, in full.
 *
 * @param {string} title what the program does, for people
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @param {() => string} howFar says how far it is, for people
 * @returns {Promise<boolean>} whether it ended with 0
 */
export async function runStep(title, command, args, options = {}, howFar = () => '') {
  const progress = showProgress(title, howFar);
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr.on('data', (chunk) => output.push(chunk));
  const failure = await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
  });
  progress.end(failure);
  if (failure) {
    const text = Buffer.concat(output).toString();
    // Some tools colour what they write into a pipe.
    process.stdout.write(DRAWS ? text : stripVTControlCharacters(text));
    console.error(`\n${title}: failed (${failure}): ${[command, ...args].join(' ')}`);
  }
  return failure === undefined;
}

/** A line that grows old where it can be drawn over, or a line now and then elsewhere. */
function showProgress(title, howFar) {
  const startedAt = performance.now();
  const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(1);
  const state = () => [title, howFar(), `${seconds()} s`].filter(Boolean).join('  ');
  let said = false;
  let frame = 0;
  const draw = () => {
    if (performance.now() - startedAt < QUIET_MS) return;
    if (DRAWS) process.stdout.write(`\r\u001b[K${FRAMES[frame++ % FRAMES.length]} ${state()}`);
    else if (!said) console.log(`${title} …`);
    said = true;
  };
  const drawing = setInterval(draw, FRAME_MS);
  const signs = setInterval(() => {
    if (!DRAWS) console.log(state());
  }, SIGN_OF_LIFE_MS);
  return {
    end(failure) {
      clearInterval(drawing);
      clearInterval(signs);
      if (DRAWS && said) process.stdout.write('\r\u001b[K');
      if (said && !failure) console.log(`${title}: done in ${seconds()} s`);
    },
  };
}
