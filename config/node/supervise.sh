#!/bin/sh
# Keeps the hub running on a node: starts it, starts it again when it exits, and kills it when it hangs. A process that is stopped
# or hung never exits, so systemd's Restart= alone would leave the node without its API server.
#
#   supervise.sh COMMAND [ARGUMENT...]      for example: supervise.sh holdfast node --config /etc/holdfast/node.yaml
#
# Needs a POSIX shell and coreutils. Settings, by environment:
#   HOLDFAST_RUN_DIR            where the hub's heartbeat file is (default /run/holdfast)
#   HOLDFAST_HEARTBEAT_SECONDS  the hub is killed when the heartbeat has not changed for so long (default 10)
#   HOLDFAST_START_SECONDS      the same before the first heartbeat of a start (default 60: a large store may need repair)
#   HOLDFAST_BACKOFF_SECONDS    longest pause between two starts (default 30); pauses are 0, 1, 2, 4 ... seconds
#   HOLDFAST_STOP_SECONDS       how long a stop may take before SIGKILL (default 20)
#   HOLDFAST_OLD_SPACE_MIB      limit of the hub's JavaScript heap (default 96)

run_dir=${HOLDFAST_RUN_DIR:-/run/holdfast}
heartbeat_seconds=${HOLDFAST_HEARTBEAT_SECONDS:-10}
start_seconds=${HOLDFAST_START_SECONDS:-60}
backoff_seconds=${HOLDFAST_BACKOFF_SECONDS:-30}
stop_seconds=${HOLDFAST_STOP_SECONDS:-20}
heartbeat=$run_dir/heartbeat

# An edge node's memory is the pods': small V8 spaces, one arena, and blocks of 64 KiB and more given back when they are
# freed (left alone, glibc stops doing that after the first large one, and the heap keeps holes of its size).
export MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=131072 MALLOC_TOP_PAD_=65536
NODE_OPTIONS="--max-semi-space-size=2 --max-old-space-size=${HOLDFAST_OLD_SPACE_MIB:-96}${NODE_OPTIONS:+ $NODE_OPTIONS}"
export NODE_OPTIONS

child=
stopping=

say() { echo "supervise: $*" >&2; }

# A counter of our own polls, never a difference of clock times: the clock of a node may jump by years.
heartbeat_mark() { stat -c '%i %y' "$heartbeat" 2>/dev/null; }

stop() {
  stopping=yes
  [ -n "$child" ] && kill -TERM "$child" 2>/dev/null
}
trap stop TERM INT
trap '' HUP

is_running() {
  kill -0 "$child" 2>/dev/null || return 1
  # A child that has exited but was not waited for still has its pid.
  state=$(sed -n 's/^State:[[:space:]]*\([A-Z]\).*/\1/p' "/proc/$child/status" 2>/dev/null)
  [ "$state" != Z ]
}

# Watches one life of the child; returns when it is over, killed if need be.
watch_child() {
  mark=$(heartbeat_mark)
  unchanged=0
  beaten=
  stopped_for=0
  lived=0
  while is_running; do
    # In the background, so that a signal is acted on at once.
    sleep 1 &
    wait $!
    lived=$((lived + 1))
    if [ -n "$stopping" ]; then
      stopped_for=$((stopped_for + 1))
      if [ "$stopped_for" -gt "$stop_seconds" ]; then
        say "the hub did not stop within $stop_seconds s and is killed"
        kill -KILL "$child" 2>/dev/null
      fi
      continue
    fi
    now=$(heartbeat_mark)
    if [ "$now" != "$mark" ]; then
      mark=$now
      unchanged=0
      beaten=yes
      continue
    fi
    unchanged=$((unchanged + 1))
    limit=$start_seconds
    [ -n "$beaten" ] && limit=$heartbeat_seconds
    if [ "$unchanged" -ge "$limit" ]; then
      say "no heartbeat for $unchanged s, the hub is killed and started again"
      # SIGKILL: a stopped process would not see anything else.
      kill -KILL "$child" 2>/dev/null
    fi
  done
}

[ $# -gt 0 ] || { say "usage: supervise.sh COMMAND [ARGUMENT...]"; exit 2; }
mkdir -p "$run_dir" || exit 1
pause=0
while [ -z "$stopping" ]; do
  "$@" &
  child=$!
  watch_child
  wait "$child"
  code=$?
  child=
  [ -n "$stopping" ] && exit "$code"
  # A hub that lived for a minute was not failing at start.
  [ "$lived" -ge 60 ] && pause=0
  say "the hub ended with code $code, next start in $pause s"
  if [ "$pause" -gt 0 ]; then
    sleep "$pause" &
    wait $!
  fi
  pause=$((pause > 0 ? pause * 2 : 1))
  [ "$pause" -gt "$backoff_seconds" ] && pause=$backoff_seconds
done
exit 0
