#!/bin/bash
# name: tickrate
#
# Tickrate Enabler and rates for 60 ticks a second. The blueprint needs Metamod
# and the argument -tickrate 60.
set -euo pipefail

tickrate=60

address() { if [ -n "${LEFT4ME_MIRROR:-}" ]; then echo "$LEFT4ME_MIRROR/${1/:\/\//\/}"; else echo "$1"; fi; }
get() { curl --fail --silent --show-error --location --retry 3 "$@"; }

url=$(get "$(address https://api.github.com/repos/accelerator74/Tickrate-Enabler/releases/tags/build)" |
	grep -o '"browser_download_url": *"[^"]*"' | cut -d '"' -f 4 | grep -E 'Tickrate-Enabler-l4d2(-linux)?-[0-9a-f]+\.zip$' | tail -n 1)
get --output /tmp/enabler.zip "$(address "$url")"
unzip -q /tmp/enabler.zip -d /tmp/enabler
mkdir -p left4dead2/cfg
cp -r "$(find /tmp/enabler -type d -name addons | head -n 1)" left4dead2/

cat >left4dead2/cfg/server.cfg <<END
sv_minrate $((tickrate * 1000))
sv_maxrate $((tickrate * 1000))
sv_minupdaterate $tickrate
sv_maxupdaterate $tickrate
sv_mincmdrate $tickrate
sv_maxcmdrate $tickrate
net_splitpacket_maxrate $((tickrate * 500))
fps_max 0
END
