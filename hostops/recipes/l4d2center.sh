# The maps of l4d2center. Its index lists each with the MD5 sum of its .vpk and a
# .7z to fetch. What the version before has, by the sums noted there, is kept by a
# link and not fetched again; what left the list is not in the new version.
index=https://l4d2center.com/maps/servers/index.json
addons=left4dead2/addons
noted=left4me/l4d2center.md5
mkdir -p "$addons" left4me .work
: >"$noted"

# One line for each object of the list: none has another one in it.
text "$index" | tr '\n\t' '  ' >.work/index
grep -q '^[[:space:]]*\[' .work/index || fail "$index is no list; the site may have answered with something else."
grep -o '{[^{}]*}' .work/index >.work/entries || fail "$index names no map."

kept=0 fetched=0 failed=0
while IFS= read -r entry; do
	name=$(json_strings name <<<"$entry") || name=
	md5=$(json_strings md5 <<<"$entry") || md5=
	link=$(json_strings download_link <<<"$entry") || link=
	[[ $name =~ ^[A-Za-z0-9][A-Za-z0-9\ ._\(\)\'+-]{0,120}\.vpk$ ]] || fail "The index names a map that cannot be a file: ${name:0:100}"
	[[ $md5 =~ ^[0-9a-fA-F]{32}$ ]] || fail "The index has no MD5 sum of $name."
	[[ $link =~ ^https?://[^/]+/.+\.7z$ ]] || fail "The index has no archive of $name."
	md5=${md5,,}
	if [ -e "$addons/$name" ] || [ -L "$addons/$name" ]; then
		echo "The index names $name twice; the first one counts." >&2
		continue
	fi
	if grep -qsxF "$md5  $name" "/previous/$noted" && [ -f "/previous/$addons/$name" ]; then
		ln -s "/previous/$addons/$name" "$addons/$name"
		printf '%s  %s\n' "$md5" "$name" >>"$noted"
		kept=$((kept + 1))
		continue
	fi
	echo "Fetching $name."
	rm -rf .work/map.7z .work/map
	why=
	if ! fetch "$link" .work/map.7z; then
		why="it could not be fetched"
	elif ! (unpack .work/map.7z .work/map); then
		why="its archive is damaged"
	else
		found=$(find .work/map -type f -name "$name" | head -n 1)
		if [ -z "$found" ]; then
			why="it is not in its archive"
		elif [ "$(md5sum <"$found")" != "$md5  -" ]; then
			why="its MD5 sum is not the one of the index"
		fi
	fi
	if [ -z "$why" ]; then
		mv "$found" "$addons/$name"
		printf '%s  %s\n' "$md5" "$name" >>"$noted"
		fetched=$((fetched + 1))
		continue
	fi
	failed=$((failed + 1))
	if [ -f "/previous/$addons/$name" ]; then
		echo "$name stays as it is: $why." >&2
		ln -s "/previous/$addons/$name" "$addons/$name"
		grep -sF -- "  $name" "/previous/$noted" | grep -E "^[0-9a-f]{32}  " | awk -v n="$name" 'substr($0, 35) == n' >>"$noted" || true
	else
		echo "$name is left out: $why." >&2
	fi
done <.work/entries
rm -r .work

[ $((kept + fetched)) -gt 0 ] || [ "$failed" -eq 0 ] || fail "None of the $failed maps could be fetched."
release "$(find "$addons" -name '*.vpk' | wc -l) maps"
echo "$fetched fetched, $kept kept, $failed failed."
