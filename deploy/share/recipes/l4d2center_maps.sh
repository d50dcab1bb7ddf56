#!/bin/bash
# name: l4d2center_maps
#
# The maps of l4d2center, by their list with semicolons: name;size;md5;link. What
# the version before has is kept; a map that left the list, or whose sum is
# another one, is not.
set -euo pipefail

address() { local url=${1// /%20}; if [ -n "${LEFT4ME_MIRROR:-}" ]; then echo "$LEFT4ME_MIRROR/${url/:\/\//\/}"; else echo "$url"; fi; }
get() { curl --fail --silent --show-error --location --retry 3 "$@"; }

addons=left4dead2/addons
mkdir -p "$addons"
get "$(address https://l4d2center.com/maps/servers/index.csv)" | tr -d '\r' >/tmp/index

while IFS=';' read -r name size md5 link _; do
	case $name in
	*/* | .* | -*) echo "The list names $name, which is no file." >&2 && exit 1 ;;
	*.vpk) ;;
	*) continue ;; # its heading
	esac
	# A link into the version before keeps a file without a copy.
	if [ -f "/previous/$addons/$name" ] && [ "$(md5sum <"/previous/$addons/$name")" = "${md5,,}  -" ]; then
		echo "Keeping $name"
		ln -s "/previous/$addons/$name" "$addons/$name"
		continue
	fi
	echo "Fetching $name ($size bytes)"
	rm -rf .map map.7z
	get --output map.7z "$(address "$link")"
	7z x -bd -y -o.map map.7z >/dev/null
	mv ".map/$name" "$addons/$name"
	if [ "$(md5sum <"$addons/$name")" != "${md5,,}  -" ]; then
		echo "The sum of $name is not the one in the list." >&2
		exit 1
	fi
done </tmp/index
rm -rf .map map.7z
