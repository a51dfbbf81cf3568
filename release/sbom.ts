// The bill of materials: CycloneDX 1.5 as JSON, from the lock file. It has neither a time nor a random serial number, so that
// the same release always has the same bytes.
import type { LockedPackage } from './lock-file.ts';

export interface SbomSubject {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** `packages`: everything that is in the archive and not our own. */
export function sbomText(subject: SbomSubject, packages: readonly LockedPackage[]): string {
  const reference = `pkg:generic/${subject.name}@${subject.version}`;
  const sorted = [...packages].sort((a, b) => (a.name < b.name ? -1 : 1));
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: {
        type: 'application',
        'bom-ref': reference,
        name: subject.name,
        version: subject.version,
        licenses: licenses(subject.license),
        purl: reference,
      },
    },
    components: sorted.map((item) => ({
      type: 'library',
      'bom-ref': packageUrl(item),
      name: item.name,
      version: item.version,
      licenses: licenses(item.license),
      purl: packageUrl(item),
      hashes: [hash(item)],
    })),
    dependencies: [
      { ref: reference, dependsOn: sorted.map(packageUrl) },
      ...sorted.map((item) => ({
        ref: packageUrl(item),
        dependsOn: sorted.filter(({ name }) => item.dependencies.includes(name)).map(packageUrl),
      })),
    ],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** package-url specification: a scope's @ is written %40. */
function packageUrl({ name, version }: LockedPackage): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

function hash({ name, integrity }: LockedPackage): { alg: string; content: string } {
  const [, base64] = /^sha512-([A-Za-z0-9+/=]+)$/.exec(integrity) ?? [];
  if (base64 === undefined) throw new TypeError(`package-lock.json: the integrity of ${name} is not sha512`);
  return { alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') };
}

/** An expression of several licences is no licence id. */
function licenses(text: string): object[] {
  return /^[A-Za-z0-9.+-]+$/.test(text) ? [{ license: { id: text } }] : [{ expression: text }];
}
