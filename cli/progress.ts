// How a command says what it is at, on standard error.
import type { Progress } from '../dropin/wait.ts';

/** A line when something has ended, and every two seconds while it goes on. */
export function progressTo(say: (line: string) => void, now: () => number = () => performance.now()): Progress {
  let current = '';
  let began = 0;
  return {
    begin: (title) => {
      current = title;
      began = now();
    },
    end: () => say(`${seconds(now() - began)}  ${current}`),
    waiting: (what, why, waitedMs) =>
      say(`     …    ${current}: until ${what} (${why}), ${Math.round(waitedMs / 1000)} s`),
  };
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1).padStart(6)} s`;
