# Tickrate Enabler from its releases, and rates that suit the tickrate.
list=$(text https://api.github.com/repos/accelerator74/Tickrate-Enabler/releases/tags/build)
url=$(json_strings browser_download_url <<<"$list" | grep -E '/Tickrate-Enabler-l4d2(-linux)?-[0-9a-f]+\.zip$' | tail -n 1) ||
	fail "The list of releases of Tickrate-Enabler names no archive for Left 4 Dead 2."
mkdir .work
fetch "$url" .work/enabler.zip
unpack .work/enabler.zip .work/files
addons=$(find .work/files -type d -name addons | head -n 1)
[ -n "$addons" ] || fail "${url##*/} has no addons folder in it."
mkdir -p left4dead2/cfg
mv "$addons" left4dead2/addons
rm -r .work
compgen -G 'left4dead2/addons/*.so' >/dev/null || fail "${url##*/} has no plug-in for Linux in it."

rate=$((RECIPE_TICKRATE * 1000))
cat >left4dead2/cfg/server.cfg <<END
// Rates for $RECIPE_TICKRATE ticks a second; the blueprint needs the argument -tickrate $RECIPE_TICKRATE.
sv_minrate $rate
sv_maxrate $rate
sv_minupdaterate $RECIPE_TICKRATE
sv_maxupdaterate $RECIPE_TICKRATE
sv_mincmdrate $RECIPE_TICKRATE
sv_maxcmdrate $RECIPE_TICKRATE
sv_client_min_interp_ratio -1
sv_client_max_interp_ratio 2
net_splitpacket_maxrate $((rate / 2))
net_maxcleartime 0.0001
fps_max 0
END
name=${url##*/Tickrate-Enabler-l4d2-}
release "Tickrate Enabler ${name%.zip}"
echo "Installed Tickrate Enabler ${name%.zip}."
