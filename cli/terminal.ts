// The terminal that a person sits at: single keys in, one line that is written over and over out.
import type { ReadStream, WriteStream } from 'node:tty';

export interface Terminal {
  /** Calls back for each key; returns the way to give the terminal back. Ctrl-C arrives as 'ctrl-c'. */
  onKey(listener: (key: string) => void): () => void;
  /** Replaces the live line. */
  status(text: string): void;
  /** Writes a line that stays, above the live line. */
  print(text: string): void;
}

/** Undefined unless both are terminals: `npm start` in a pipe has none. */
export function openTerminal(input: ReadStream, output: WriteStream): Terminal | undefined {
  if (!input.isTTY || !output.isTTY) return undefined;
  let current = '';
  const clear = '\r\u001b[K';
  return {
    onKey(listener) {
      const onData = (chunk: Buffer): void => {
        for (const key of chunk.toString()) listener(key === '\u0003' ? 'ctrl-c' : key);
      };
      // In raw mode a key arrives at once and is not shown; Ctrl-C no longer becomes a signal.
      input.setRawMode(true);
      input.on('data', onData);
      input.resume();
      return () => {
        input.off('data', onData);
        input.setRawMode(false);
        input.pause();
        if (current !== '') output.write('\n');
      };
    },
    status(text) {
      // A line that wraps could not be written over.
      current = text.slice(0, (output.columns || 80) - 1);
      output.write(clear + current);
    },
    print(text) {
      output.write(`${clear}${text}\n${current}`);
    },
  };
}
