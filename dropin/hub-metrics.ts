// What the hub says of itself at its ops port, read from the Prometheus text format.

export interface HubMetrics {
  /** Sum of the samples whose labels hold every one of `labels`; undefined when there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

export function parseMetrics(text: string): HubMetrics {
  const samples = Array.from(text.matchAll(/^(\w+)(?:\{(.*)\})? ([^ \n]+)$/gm), ([, name, labels = '', value]) => ({
    name,
    labels,
    value: Number(value),
  }));
  return {
    value: (name, labels = {}) => {
      const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
      const found = samples.filter(
        (sample) => sample.name === name && wanted.every((label) => sample.labels.includes(label)),
      );
      return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
    },
  };
}
