# Settings that suit a public server. Other overlays and the blueprint come later
# and win.
[[ $RECIPE_GAMETYPES =~ ^[a-z0-9,_]{1,200}$ ]] || fail "$RECIPE_GAMETYPES is no list of modes such as coop,versus."
mkdir -p left4dead2/cfg
cat >left4dead2/cfg/server.cfg <<END
// Plain settings of a public server.
sv_lan 0
sv_cheats 0
sv_region $RECIPE_REGION
sv_gametypes "$RECIPE_GAMETYPES"
sv_allow_lobby_connect_only 0
sv_consistency 0
sv_pure 0
sv_voiceenable 1
sv_alltalk 0
sv_logbans 1
sv_logecho 0
sv_logfile 0
END
release "Plain settings"
echo "Wrote cfg/server.cfg."
