// Builds the Go clients of the contract before jest runs, whose patience is shorter than a first build with its downloads.
import { buildInformer } from './informer-program.ts';

for (const release of ['go.mod', 'next.mod'] as const) {
  const note = setTimeout(() => console.log(`building client-go's informers (${release}), a minute or two …`), 1_000);
  await buildInformer(release).finally(() => clearTimeout(note));
}
