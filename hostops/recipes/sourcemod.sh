# Metamod:Source and SourceMod, the newest builds of a branch. Each drop site has
# a text file that names the newest archive beside it.
case $RECIPE_BRANCH in
1.11) metamod=1.11 ;;
*) metamod=1.12 ;;
esac

# drop FOLDER-URL LIST PATTERN fetches the archive that the list names and prints
# its name.
drop() {
	local name
	name=$(text "$1/$2") || return 1
	if ! [[ $name =~ ^$3$ ]]; then
		fail "$1/$2 does not name an archive; the site may have answered with something else."
	fi
	fetch "$1/$name" "$OVERLAY/.work/$name" || return 1
	printf '%s\n' "$name"
}

mkdir -p .work left4dead2
mm=$(drop "https://mms.alliedmods.net/mmsdrop/$metamod" mmsource-latest-linux 'mmsource-[0-9.]+-git[0-9]+-linux\.tar\.gz')
sm=$(drop "https://sm.alliedmods.net/smdrop/$RECIPE_BRANCH" sourcemod-latest-linux 'sourcemod-[0-9.]+-git[0-9]+-linux\.tar\.gz')
unpack ".work/$mm" left4dead2
unpack ".work/$sm" left4dead2
rm -r .work
[ -d left4dead2/addons/metamod ] || fail "$mm has no addons/metamod in it."
[ -d left4dead2/addons/sourcemod ] || fail "$sm has no addons/sourcemod in it."

# The game loads what these files name, directly in addons/.
if [ ! -e left4dead2/addons/metamod.vdf ]; then
	printf '"Plugin"\n{\n\t"file"\t"addons/metamod/bin/server"\n}\n' >left4dead2/addons/metamod.vdf
fi

if [ -n "$RECIPE_ADMINS" ]; then
	admins=left4dead2/addons/sourcemod/configs/admins_simple.ini
	mkdir -p "${admins%/*}"
	for id in $RECIPE_ADMINS; do
		[[ $id =~ ^(STEAM_[0-5]:[01]:[0-9]{1,10}|\[U:1:[0-9]{1,10}\])$ ]] || fail "$id is no Steam id such as STEAM_1:0:123."
		printf '"%s" "99:z"\n' "$id" >>"$admins"
	done
fi

sm=${sm#sourcemod-} mm=${mm#mmsource-}
release "SourceMod ${sm%-linux.tar.gz}, Metamod:Source ${mm%-linux.tar.gz}"
echo "Installed SourceMod ${sm%-linux.tar.gz} and Metamod:Source ${mm%-linux.tar.gz}."
