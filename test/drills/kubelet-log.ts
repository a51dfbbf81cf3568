// Error loops in a kubelet's log: the same complaint again and again that a connected node does not make.

export interface Complaint {
  /** Level, source line and constant message, for example `E kubelet.go:123 "Error syncing pod"`. */
  signature: string;
  count: number;
  /** One of its lines, whole. */
  example: string;
}

const klogLine = /^([IWEF])\d{4} \S+\s+\d+ ([\w.-]+:\d+)\] (.*)$/;

/** Errors and warnings of a klog text by what they say, the most frequent first. */
export function complaints(log: string): Complaint[] {
  const found = new Map<string, Complaint>();
  for (const line of log.split('\n')) {
    const [, level, source, text = ''] = klogLine.exec(line) ?? [];
    if (level !== 'E' && level !== 'W') continue;
    const signature = `${level} ${source} ${constantPart(text)}`;
    const complaint = found.get(signature);
    if (complaint) complaint.count += 1;
    else found.set(signature, { signature, count: 1, example: line });
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}

/**
 * What the log of a node that is cut off repeats and the one of a connected node does not: at least `least` times, and
 * more than twice as often per minute as on the connected node.
 */
export function errorLoops(
  cutOff: { log: string; minutes: number },
  connected: { log: string; minutes: number },
  least: number,
): Complaint[] {
  const usual = new Map(complaints(connected.log).map(({ signature, count }) => [signature, count]));
  return complaints(cutOff.log).filter(({ signature, count }) => {
    const usualPerMinute = (usual.get(signature) ?? 0) / connected.minutes;
    return count >= least && count / cutOff.minutes > 2 * usualPerMinute;
  });
}

/** The quoted message of a structured line; else the text without numbers and quoted parts. */
function constantPart(text: string): string {
  const [quoted] = /^"(?:[^"\\]|\\.)*"/.exec(text) ?? [];
  return (
    quoted ??
    text
      .replaceAll(/"(?:[^"\\]|\\.)*"/g, '"…"')
      .replaceAll(/[0-9a-f]*\d[0-9a-f]*/g, '#')
      .slice(0, 120)
  );
}
