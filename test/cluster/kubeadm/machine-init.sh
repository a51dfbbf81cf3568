#!/bin/bash
# Process 1 of a kubeadm machine: machine-init.sh NAME FOLDER. Runs in mount, pid, uts and ipc namespaces of its own, in the
# machine's network namespace. When it is killed the kernel ends everything on the machine and forgets its mounts: a power cut.
#
# /etc, /usr and /opt are the host's with a layer of the machine's own above (FOLDER/own), which holds what was put there for it
# and all that is changed on it; /var/lib, /var/log and the folders in /etc named below are its alone. /run is empty after a boot.
set -e
name=$1 folder=$2
mount --make-rprivate /
# FOLDER may itself be below something that is about to be hidden, so it is reached by the working directory.
cd "$folder"
mkdir -p own/etc own/usr own/opt work/etc work/usr work/opt alone/var/lib alone/var/log
for top in etc usr opt; do
  mount -t overlay overlay -o "lowerdir=/$top,upperdir=$folder/own/$top,workdir=$folder/work/$top" "/$top"
done
# What the host has in these would be taken for the machine's.
for alone in /etc/kubernetes /etc/cni /etc/containerd /etc/holdfast /etc/systemd/system; do
  mkdir -p "alone$alone" "$alone"
  mount --bind "alone$alone" "$alone"
done
# The host has Node.js for what runs here; a machine of a user has none. What stands in for systemd brings its own.
for node in /usr/bin/node /usr/bin/nodejs /usr/local/bin/node; do
  grep -qs "exec $node " /usr/lib/holdfast-lab/units || rm -f "$node"
done
mount --bind alone/var/log /var/log
mount --bind alone/var/lib /var/lib
mount -t tmpfs -o mode=755 tmpfs /run
mount -t proc proc /proc
mount --make-rshared /
cd /
hostname "$name"
# The last is how programs see that systemd is there; here units.ts stands in for it.
mkdir -p /run/lock /run/netns /run/systemd/system
/usr/lib/holdfast-lab/units &
set +e
# As process 1 bash reaps what is orphaned, but only while it waits for something of its own.
trap : CHLD
while :; do sleep 100000000 & wait $!; done
