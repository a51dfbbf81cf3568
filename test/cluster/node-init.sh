#!/bin/bash
# Process 1 of an edge node: node-init.sh NAME FOLDER. Runs in mount, pid, uts and ipc namespaces of its own, in the
# node's network namespace. When it is killed the kernel ends everything on the node and forgets its mounts: a power cut.
#
# What belongs to the node alone lies in FOLDER/root at its usual path; the rest of the file system is the machine's.
# Changes elsewhere in /etc go to a copy. /run is empty after every boot.
set -e
name=$1 folder=$2
mount --make-rprivate /
# FOLDER may itself be below something that is about to be hidden, so it is reached by the working directory.
cd "$folder"
mkdir -p etc.upper etc.work root/var/lib root/var/log
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$folder/etc.upper,workdir=$folder/etc.work" /etc
for own in kubernetes cni containerd holdfast; do
  mkdir -p "root/etc/$own" "/etc/$own"
  mount --bind "root/etc/$own" "/etc/$own"
done
mount --bind root/var/log /var/log
mount --bind root/var/lib /var/lib
mount -t tmpfs -o mode=755 tmpfs /run
mount -t proc proc /proc
mount --make-rshared /
cd /
hostname "$name"
mkdir -p /run/lock /run/netns
touch /run/booted
set +e
# As process 1 bash reaps what is orphaned, but only while it waits for something of its own.
trap : CHLD
while :; do sleep 100000000 & wait $!; done
