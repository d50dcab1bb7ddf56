#!/bin/bash
# name: standard
#
# Two add-ons of the workshop that every server here has, and who may use the
# admin menu of one of them. Write the Steam ids of your admins below.
set -euo pipefail

items="698857882 2524204971"
admins="" # such as "STEAM_1:0:123 STEAM_1:1:456"

# A mirror, if the host has one, keeps what it mirrors below https/HOST/PATH.
address() { if [ -n "${LEFT4ME_MIRROR:-}" ]; then echo "$LEFT4ME_MIRROR/${1/:\/\//\/}"; else echo "$1"; fi; }
get() { curl --fail --silent --show-error --location --retry 3 "$@"; }

form=(--data "itemcount=$(wc -w <<<"$items")")
n=0
for id in $items; do
	form+=(--data-urlencode "publishedfileids[$n]=$id")
	n=$((n + 1))
done
# One line for each item, whatever the order of its fields is.
get "${form[@]}" "$(address https://api.steampowered.com/ISteamRemoteStorage/GetPublishedFileDetails/v1/)" |
	tr -d '\n' | sed 's/{"publishedfileid"/\n&/g' >/tmp/details

mkdir -p left4dead2/addons
for id in $items; do
	url=$(grep "^{\"publishedfileid\":\"$id\"" /tmp/details | grep -o '"file_url":"[^"]*"' | cut -d '"' -f 4 | sed 's|\\/|/|g') || true
	if [ -z "$url" ]; then
		echo "Steam has no file for the item $id." >&2
		exit 1
	fi
	echo "Fetching $id"
	get --output "left4dead2/addons/$id.vpk" "$(address "$url")"
done

mkdir -p "left4dead2/ems/admin system"
for id in $admins; do
	echo "$id"
done >"left4dead2/ems/admin system/admins.txt"
