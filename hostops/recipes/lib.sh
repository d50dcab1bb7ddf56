# What every recipe can use. Bash in the sandbox: the working directory becomes
# the version, $OVERLAY is its path, /previous the version before if there is one,
# /tmp is small. The net is reached by curl only, through the proxy that its
# environment names.
set -euo pipefail

# fail TEXT ends the recipe.
fail() {
	printf '%s\n' "$1" >&2
	exit 1
}

# release TEXT says what was installed.
release() { printf '%s\n' "$1" >"$OVERLAY/.release"; }

# address URL prints where it is fetched from: with a mirror, MIRROR/https/HOST/PATH.
address() {
	local url=${1// /%20}
	if [ -n "${LEFT4ME_MIRROR:-}" ]; then
		url=${LEFT4ME_MIRROR%/}/${url/:\/\//\/}
	fi
	printf '%s\n' "$url"
}

# fetch URL FILE fetches a file, whole or not at all.
fetch() {
	local from
	from=$(address "$1")
	if ! curl --fail --silent --show-error --location --proto '=http,https' --max-redirs 5 \
		--connect-timeout 30 --speed-limit 1000 --speed-time 60 --retry 3 --retry-delay 2 \
		--output "$2.part" "$from"; then
		rm -f "$2.part"
		printf '%s could not be fetched.\n' "$1" >&2
		return 1
	fi
	mv "$2.part" "$2"
}

# text URL prints a small text.
text() {
	fetch "$1" /tmp/text || return 1
	if [ "$(stat -c %s /tmp/text)" -gt 4000000 ]; then
		fail "$1 is larger than any list can be."
	fi
	tr -d '\r' </tmp/text
}

# json_strings NAME prints the values of the fields of that name in the JSON on
# standard input, one a line. It is enough for lists of plain names and URLs.
json_strings() {
	tr '\n' ' ' | grep -o "\"$1\"[[:space:]]*:[[:space:]]*\"[^\"]*\"" | sed -e 's/^"[^"]*"[[:space:]]*:[[:space:]]*"//' -e 's/"$//' -e 's|\\/|/|g' -e 's/\\u0026/\&/g'
}

# unpack ARCHIVE FOLDER unpacks a whole archive, after a look at all of it: half of
# one, or a page of HTML with its name, is refused before anything is written.
unpack() {
	mkdir -p "$2"
	case $1 in
	*.tar.gz | *.tgz)
		gzip -t "$1" 2>/dev/null && tar -tzf "$1" >/dev/null 2>&1 || fail "${1##*/} is no whole archive; the site may have answered with something else."
		tar -xzf "$1" -C "$2" --no-same-owner --no-same-permissions
		;;
	*.zip)
		unzip -tqq "$1" >/dev/null 2>&1 || fail "${1##*/} is no whole archive; the site may have answered with something else."
		unzip -qq -o "$1" -d "$2"
		;;
	*.7z)
		seven t -bd "$1" >/dev/null 2>&1 || fail "${1##*/} is no whole archive; the site may have answered with something else."
		seven x -bd -y -o"$2" "$1" >/dev/null
		;;
	*) fail "${1##*/} is no archive that can be unpacked." ;;
	esac
}

# seven is 7-Zip under whichever name this host has it.
seven() {
	local name
	for name in 7zz 7z 7za 7zr; do
		if command -v "$name" >/dev/null; then
			"$name" "$@"
			return
		fi
	done
	fail "7-Zip is missing on this host: as root run apt-get install p7zip-full."
}
