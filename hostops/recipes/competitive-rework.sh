# Competitive Rework: the archive for Linux of a release, or of the newest one.
project=SirPlease/L4D2-Competitive-Rework
api=https://api.github.com/repos/$project/releases
case $RECIPE_VERSION in
latest) list=$(text "$api/latest") ;;
*)
	[[ $RECIPE_VERSION =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$ ]] || fail "$RECIPE_VERSION is no release."
	list=$(text "$api/tags/$RECIPE_VERSION")
	;;
esac
tag=$(json_strings tag_name <<<"$list" | head -n 1) || tag=
[[ $tag =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$ ]] || fail "The list of releases of $project names none; the site may have answered with something else."
url=$(json_strings browser_download_url <<<"$list" | grep -Ei 'linux[^/]*\.(tar\.gz|zip)$' | head -n 1) ||
	url=https://github.com/$project/archive/refs/tags/$tag.tar.gz # without one, the files as they are in the repository
mkdir .work
archive=.work/rework.tar.gz
[[ $url == *.zip ]] && archive=.work/rework.zip
fetch "$url" "$archive"
unpack "$archive" .work/files
addons=$(find .work/files -maxdepth 4 -type d -name addons | head -n 1)
[ -n "$addons" ] || fail "${url##*/} has no addons folder in it."
mv "${addons%/addons}" left4dead2
rm -rf .work left4dead2/.git left4dead2/.github
release "Competitive Rework $tag"
echo "Installed Competitive Rework $tag."
