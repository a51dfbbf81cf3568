// What an error of LevelDB means for the store. LevelDB reports by text, so the texts are known in this file only.

/**
 * `locked`: another process holds the folder. `access`: no permission, read-only, too many open files. `full`: no space.
 * `damaged`: files are missing or garbled, so repair may help. `closed`: the handle was closed under the caller.
 * `other`: none of these.
 */
export type FailureClass = 'locked' | 'access' | 'full' | 'damaged' | 'closed' | 'other';

/** Looks through the causes: abstract-level wraps what LevelDB said in LEVEL_DATABASE_NOT_OPEN. */
export function classifyFailure(error: unknown): FailureClass {
  const codes: string[] = [];
  const messages: string[] = [];
  for (const cause of causes(error)) {
    codes.push(String(cause.code));
    messages.push(cause.message);
  }
  const text = messages.join('\n');
  if (codes.includes('LEVEL_LOCKED') || /\/LOCK: Resource temporarily unavailable/.test(text)) return 'locked';
  if (/No space left on device|Disk quota exceeded|File too large/i.test(text)) return 'full';
  if (/ENOSPC|EDQUOT/.test(codes.join())) return 'full';
  if (/Read-only file system|Permission denied|Operation not permitted|Too many open files/i.test(text))
    return 'access';
  if (/EROFS|EACCES|EPERM|EMFILE|ENFILE/.test(codes.join())) return 'access';
  if (codes.includes('LEVEL_CORRUPTION') || codes.includes('LEVEL_IO_ERROR')) return 'damaged';
  // LevelDB's InvalidArgument (no CURRENT, a MANIFEST of something else) comes without a code of its own.
  if (/corrupt|does not exist|not an sstable|Invalid argument|missing files|no meta/i.test(text)) return 'damaged';
  if (codes.includes('LEVEL_DATABASE_NOT_OPEN') || codes.includes('LEVEL_ITERATOR_NOT_OPEN')) return 'closed';
  return 'other';
}

/** The error's and its causes' messages, in one line. */
export function errorText(error: unknown): string {
  return (
    causes(error)
      .map((cause) => cause.message)
      .join(': ') || String(error)
  );
}

/** Not by `instanceof`: errors of LevelDB's native part may come from another realm, and a lock must never be overlooked. */
function causes(error: unknown): NodeJS.ErrnoException[] {
  const found: NodeJS.ErrnoException[] = [];
  let cause = error;
  while (typeof cause === 'object' && cause !== null && 'message' in cause && found.length < 8) {
    found.push(cause as NodeJS.ErrnoException);
    cause = (cause as Error).cause;
  }
  return found;
}
