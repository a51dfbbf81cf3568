// The images that kubeadm asks for, from the programs of this machine: there is no registry.
import { readFileSync } from 'node:fs';
import { binary, kubernetesVersion, type Program } from '../binaries.ts';
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

export async function kubeadmImages(): Promise<KubeadmImages> {
  const listed = await run([binary('kubeadm'), 'config', 'images', 'list', '--kubernetes-version', kubernetesVersion]);
  const nameOf = (image: string): string => {
    const name = listed.split('\n').find((line) => line.includes(`/${image}:`));
    if (name === undefined) throw new Error(`kubeadm lists no image ${image}: ${listed}`);
    return name;
  };
  const programImage = (program: Program): ImageSpec => ({
    name: nameOf(program),
    command: [program],
    files: [{ path: `/usr/local/bin/${program}`, content: readFileSync(binary(program)), mode: 0o755 }],
  });
  const coredns = corednsImage();
  return {
    pause: nameOf('pause'),
    everywhere: [
      { name: nameOf('pause'), command: ['/bin/sleep', '2147483647'] },
      { ...(await kubeProxyImage()), name: nameOf('kube-proxy') },
      { name: `${registryName}/busybox:1`, command: ['/bin/sh'] },
    ],
    controlPlane: [
      ...(['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const).map(programImage),
      { ...coredns, name: nameOf('coredns'), entrypoint: coredns.command, command: [] },
    ],
  };
}
