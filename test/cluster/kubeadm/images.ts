// The images that kubeadm asks for, from the programs of this machine: there is no registry.
import { readFileSync } from 'node:fs';
import { binary, programOf, versionOf, type Minor } from '../binaries.ts';
import { run } from '../commands.ts';
import { corednsImage } from '../coredns.ts';
import type { ImageSpec } from '../images.ts';
import { registryName } from '../images.ts';
import { kubeProxyImage } from '../kube-proxy.ts';

/** Written into archives once per cluster, since each holds a large program. */
export interface KubeadmImages {
  /** Name of the image of a pod's sandbox. */
  pause: string;
  /** What every node needs. */
  everywhere: ImageSpec[];
  /** What the control plane needs besides. */
  controlPlane: ImageSpec[];
}

export async function kubeadmImages(minor: Minor): Promise<KubeadmImages> {
  const kubeadm = binary(programOf('kubeadm', minor));
  const listed = await run([kubeadm, 'config', 'images', 'list', '--kubernetes-version', versionOf[minor]]);
  const nameOf = (image: string): string => {
    const name = listed.split('\n').find((line) => line.includes(`/${image}:`));
    if (name === undefined) throw new Error(`kubeadm lists no image ${image}: ${listed}`);
    return name;
  };
  const programImage = (name: string, file: string): ImageSpec => ({
    name: nameOf(name),
    command: [name],
    files: [{ path: `/usr/local/bin/${name}`, content: readFileSync(file), mode: 0o755 }],
  });
  const coredns = corednsImage();
  return {
    pause: nameOf('pause'),
    everywhere: [
      { name: nameOf('pause'), command: ['/bin/sleep', '2147483647'] },
      { ...(await kubeProxyImage(minor === '1.33' ? 'kube-proxy@1.33' : 'kube-proxy')), name: nameOf('kube-proxy') },
      { name: `${registryName}/busybox:1`, command: ['/bin/sh'] },
    ],
    controlPlane: [
      programImage('etcd', binary('etcd')),
      ...(['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const).map((name) =>
        programImage(name, binary(programOf(name, minor))),
      ),
      { ...coredns, name: nameOf('coredns'), entrypoint: coredns.command, command: [] },
    ],
  };
}
