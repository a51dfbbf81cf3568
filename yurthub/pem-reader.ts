// Certificates and keys that settings name, read and judged: what is wrong goes to the list of problems, with the setting's name.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { PemSource } from '../kube/kubeconfig.ts';

export class PemReader {
  readonly #readFile: (file: string) => string;
  readonly #problems: string[];

  constructor(readFile: (file: string) => string, problems: string[]) {
    this.#readFile = readFile;
    this.#problems = problems;
  }

  certificate(name: string, source: PemSource): X509Certificate | undefined {
    const text = this.#text(name, source);
    if (text === undefined) return undefined;
    try {
      return new X509Certificate(text);
    } catch {
      this.#problems.push(`${name}: ${describe(source)} holds no certificate (PEM)`);
      return undefined;
    }
  }

  /** The certificate, when it could be read and the key belongs to it. An expired one is fine: it may be offline for long. */
  pair(certificate: PemSource, key: PemSource): X509Certificate | undefined {
    const parsed = this.certificate('clientCertificateFile', certificate);
    const keyText = this.#text('clientKeyFile', key);
    if (keyText === undefined) return undefined;
    try {
      const privateKey = createPrivateKey(keyText);
      if (parsed === undefined || parsed.checkPrivateKey(privateKey)) return parsed;
      this.#problems.push(
        `clientKeyFile: the key in ${describe(key)} does not belong to the certificate in ${describe(certificate)}; give the pair`,
      );
    } catch {
      this.#problems.push(`clientKeyFile: ${describe(key)} holds no private key without passphrase (PEM)`);
    }
    return undefined;
  }

  #text(name: string, source: PemSource): string | undefined {
    if ('pem' in source) return source.pem;
    try {
      return this.#readFile(source.file);
    } catch (error) {
      this.#problems.push(`${name}: ${(error as Error).message}`);
      return undefined;
    }
  }
}

function describe(source: PemSource): string {
  return 'file' in source ? source.file : 'the kubeconfig';
}
