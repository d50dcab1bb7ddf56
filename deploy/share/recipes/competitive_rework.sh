#!/bin/bash
# name: competitive_rework
#
# The newest Competitive Rework, unpacked into left4dead2. The version before is
# kept when there is nothing newer.
set -euo pipefail

project=SirPlease/L4D2-Competitive-Rework

address() { if [ -n "${LEFT4ME_MIRROR:-}" ]; then echo "$LEFT4ME_MIRROR/${1/:\/\//\/}"; else echo "$1"; fi; }
get() { curl --fail --silent --show-error --location --retry 3 "$@"; }

tag=$(get "$(address https://api.github.com/repos/$project/releases/latest)" | grep -o '"tag_name": *"[^"]*"' | cut -d '"' -f 4)
if [ "$(cat /previous/competitive_rework 2>/dev/null)" = "$tag" ]; then
	echo "$tag is the newest and is there already."
	cp -r /previous/. .
	exit
fi
get --output /tmp/rework.tar.gz "$(address "https://github.com/$project/archive/refs/tags/$tag.tar.gz")"
mkdir left4dead2
tar -xzf /tmp/rework.tar.gz -C left4dead2 --strip-components 1 --no-same-owner
echo "$tag" >competitive_rework
