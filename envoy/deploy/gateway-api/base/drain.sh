#!/usr/bin/env bash
# Lets Envoy finish: no new requests, and up to SECONDS for the copies and logs that wait.
#     drain.sh ADMIN_PORT SECONDS
# Where Envoy runs: the admin endpoint is on the container's loopback.
# Uses bash's own sockets: Envoy's image has no curl.
set -euo pipefail

ask() {
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf '%s HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' "$1" >&3
  answer=$(cat <&3)
  exec 3<&- 3>&-
  case $answer in
    'HTTP/1.1 200 '*) ;;
    *) echo "$1: ${answer%%$'\r'*}" >&2 && exit 2 ;;
  esac
}

port=$1 seconds=$2
ask 'POST /drain_listeners?graceful'
calm=0
for _ in $(seq "$((seconds * 5))"); do
  ask 'GET /stats?filter=sentry_edge_mirror'
  # Metrics are up to 100 ms old: what came last is seen a moment later.
  if grep -qE '\.(pending|queued): [1-9]' <<<"$answer"; then
    calm=0
  elif [ "$((calm += 1))" -eq 5 ]; then
    exit 0
  fi
  sleep 0.2
done
echo "copies or logs are still waiting after $seconds s: they are lost" >&2
exit 1
