#!/bin/bash
# name: workshop_maps
#
# Every item of a workshop collection. An overlay of the kind "workshop" does the
# same with less work and keeps itself up to date.
set -euo pipefail

collection=1626503425 # the number of yours

address() { if [ -n "${LEFT4ME_MIRROR:-}" ]; then echo "$LEFT4ME_MIRROR/${1/:\/\//\/}"; else echo "$1"; fi; }
get() { curl --fail --silent --show-error --location --retry 3 "$@"; }
api=https://api.steampowered.com/ISteamRemoteStorage

items=$(get --data collectioncount=1 --data-urlencode "publishedfileids[0]=$collection" "$(address $api/GetCollectionDetails/v1/)" |
	grep -o '"children":.*' | grep -o '"publishedfileid":"[0-9]*"' | grep -o '[0-9]*' | sort -u)
[ -n "$items" ] || { echo "The collection $collection is empty or hidden." >&2 && exit 1; }

mkdir -p left4dead2/addons
for id in $items; do
	url=$(get --data itemcount=1 --data-urlencode "publishedfileids[0]=$id" "$(address $api/GetPublishedFileDetails/v1/)" |
		grep -o '"file_url":"[^"]*"' | head -n 1 | cut -d '"' -f 4 | sed 's|\\/|/|g') || true
	if [ -z "$url" ]; then
		echo "Steam has no file for the item $id; it is left out." >&2
		continue
	fi
	if [ -f "/previous/left4dead2/addons/$id.vpk" ] && [ "$(cat "/previous/workshop/$id" 2>/dev/null)" = "$url" ]; then
		ln -s "/previous/left4dead2/addons/$id.vpk" "left4dead2/addons/$id.vpk"
	else
		echo "Fetching $id"
		get --output "left4dead2/addons/$id.vpk" "$(address "$url")"
	fi
	mkdir -p workshop
	echo "$url" >"workshop/$id" # a new version of an item has a new address
done
