package steamsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// The one app that can be installed.
const (
	appID       = "222860"
	appName     = "Left 4 Dead 2 Dedicated Server"
	appBuild    = "18904237"
	gameVersion = "2.2.4.3"
)

// depot is one part of the app. Sizes are those a real flip showed: the Windows
// pass moves 9,710,287,462 bytes, the Linux pass after it 202,762,857.
type depot struct {
	id, manifest string
	size         int64
	platform     string // empty: every platform
}

var depots = []depot{
	{"222861", "7216943187651200913", 9_512_345_671, ""},
	{"222862", "4829106622841177356", 197_941_791, "windows"},
	{"222863", "1634492805714402988", 202_762_857, "linux"},
}

// depotsFor returns what an install for platform consists of; nil when the app
// does not exist there.
func depotsFor(platform string) []depot {
	if platform != "windows" && platform != "linux" {
		return nil
	}
	var out []depot
	for _, d := range depots {
		if d.platform == "" || d.platform == platform {
			out = append(out, d)
		}
	}
	return out
}

// gameFile is one file of a depot: small content, or a copy of the file from.
type gameFile struct {
	depot   string
	path    string // relative to the install directory
	content []byte
	from    string
	mode    uint32
}

// gameFiles lists what an install leaves behind, in the order in which it
// lands: stand-ins of a few bytes for the data, and a srcds_linux that runs
// (a copy of exe) with the settings it needs to find the control file.
func gameFiles(exe string, settings installedSettings) ([]gameFile, error) {
	var files []gameFile
	text := func(depot, path, content string) {
		files = append(files, gameFile{depot: depot, path: path, content: []byte(content), mode: 0o644})
	}
	const shared, windows, linux = "222861", "222862", "222863"
	text(shared, "left4dead2/steam.inf", "PatchVersion="+gameVersion+"\nProductName=left4dead2\nappID=550\n")
	text(shared, "left4dead2/gameinfo.txt", "\"GameInfo\"\n{\n\tgame\t\"Left 4 Dead 2\"\n}\n")
	for _, name := range slices.Sorted(maps.Keys(stockConfigs)) {
		text(shared, "left4dead2/cfg/"+name, stockConfigs[name])
	}
	text(shared, "left4dead2/motd.txt", "Welcome.\n")
	text(shared, "left4dead2/host.txt", "\n")
	text(shared, "left4dead2/addons/checkers/readme.txt", "stand-in\n")
	text(shared, "left4dead2/pak01_dir.vpk", "stand-in\n")
	for _, c := range campaigns {
		text(shared, "left4dead2/missions/"+c.file+".txt", c.mission())
		for _, m := range c.maps {
			text(shared, "left4dead2/maps/"+m+".bsp", "VBSP stand-in for "+m+"\n")
		}
	}
	for _, path := range []string{"srcds.exe", "bin/engine.dll", "bin/dedicated.dll", "left4dead2/bin/server.dll"} {
		text(windows, path, "MZ stand-in for "+filepath.Base(path)+"\n")
	}
	for _, path := range []string{
		"bin/engine_srv.so", "bin/dedicated_srv.so", "bin/libtier0_srv.so", "bin/libvstdlib_srv.so",
		"bin/steamclient.so", "left4dead2/bin/server_srv.so",
	} {
		files = append(files, gameFile{depot: linux, path: path, content: fakeELF(filepath.Base(path)), mode: 0o755})
	}
	conf, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode settings of the game: %w", err)
	}
	return append(files,
		gameFile{depot: linux, path: ControlName, content: append(conf, '\n'), mode: 0o644},
		gameFile{depot: linux, path: "srcds_run", content: []byte(srcdsRun), mode: 0o755},
		gameFile{depot: linux, path: "srcds_linux", from: exe, mode: 0o755},
	), nil
}

// stockConfigs are cfg files of the game. server.cfg is not among them, as in
// the real install. A server without valve.rc never loads its map.
var stockConfigs = map[string]string{
	"valve.rc":               "exec config_default.cfg\nexec autoexec.cfg\nstuffcmds\n",
	"config_default.cfg":     "unbindall\n",
	"skill.cfg":              "// skill settings\n",
	"skill_manifest.cfg":     "exec skill.cfg\n",
	"perftest.cfg":           "// performance test\n",
	"chapter1.cfg":           "map c1m1_hotel\n",
	"360controller.cfg":      "// controller layout\n",
	"user_default.scr":       "VERSION 1.0\n",
	"survival_default.cfg":   "// survival\n",
	"network_throttling.cfg": "// network\n",
}

// campaign is one official campaign.
type campaign struct {
	file, title string
	maps        []string
}

func (c campaign) mission() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\"mission\"\n{\n\t\"Name\"\t\"%s\"\n\t\"Version\"\t\"1\"\n\t\"Author\"\t\"Valve\"\n", c.file)
	fmt.Fprintf(&b, "\t\"BuiltIn\"\t\"1\"\n\t\"DisplayTitle\"\t\"%s\"\n\t\"modes\"\n\t{\n", c.title)
	for _, mode := range []string{"coop", "versus"} {
		fmt.Fprintf(&b, "\t\t%q\n\t\t{\n", mode)
		for i, m := range c.maps {
			fmt.Fprintf(&b, "\t\t\t\"%d\"\n\t\t\t{\n\t\t\t\t\"Map\"\t\"%s\"\n\t\t\t\t\"DisplayName\"\t\"%d: %s\"\n\t\t\t}\n", i+1, m, i+1, m)
		}
		b.WriteString("\t\t}\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

var campaigns = []campaign{
	{"campaign1", "Dead Center", []string{"c1m1_hotel", "c1m2_streets", "c1m3_mall", "c1m4_atrium"}},
	{"campaign2", "Dark Carnival", []string{"c2m1_highway", "c2m2_fairgrounds", "c2m3_coaster", "c2m4_barns", "c2m5_concert"}},
	{"campaign3", "Swamp Fever", []string{"c3m1_plankcountry", "c3m2_swamp", "c3m3_shantytown", "c3m4_plantation"}},
	{"campaign4", "Hard Rain", []string{"c4m1_milltown_a", "c4m2_sugarmill_a", "c4m3_sugarmill_b", "c4m4_milltown_b", "c4m5_milltown_escape"}},
	{"campaign5", "The Parish", []string{"c5m1_waterfront", "c5m2_park", "c5m3_cemetery", "c5m4_quarter", "c5m5_bridge"}},
	{"campaign6", "The Passing", []string{"c6m1_riverbank", "c6m2_bedlam", "c6m3_port"}},
	{"campaign7", "The Sacrifice", []string{"c7m1_docks", "c7m2_barge", "c7m3_port"}},
	{"campaign8", "No Mercy", []string{"c8m1_apartment", "c8m2_subway", "c8m3_sewers", "c8m4_interior", "c8m5_rooftop"}},
	{"campaign9", "Crash Course", []string{"c9m1_alleys", "c9m2_lots"}},
	{"campaign10", "Death Toll", []string{"c10m1_caves", "c10m2_drainage", "c10m3_ranchhouse", "c10m4_mainstreet", "c10m5_houseboat"}},
	{"campaign11", "Dead Air", []string{"c11m1_greenhouse", "c11m2_offices", "c11m3_garage", "c11m4_terminal", "c11m5_runway"}},
	{"campaign12", "Blood Harvest", []string{"c12m1_hilltop", "c12m2_traintunnel", "c12m3_bridge", "c12m4_barn", "c12m5_cornfield"}},
	{"campaign13", "Cold Stream", []string{"c13m1_alpinecreek", "c13m2_southpinestream", "c13m3_memorialbridge", "c13m4_cutthroatcreek"}},
	{"campaign14", "The Last Stand", []string{"c14m1_junkyard", "c14m2_lighthouse"}},
}

// srcdsRun plays the start script: it works from its own directory, joins its
// arguments without quotes (the source of a known bug) and starts the server
// again for as long as that fails.
const srcdsRun = `#!/bin/sh
# Part of a simulated Steam.
cd "$(dirname "$0")" || exit 1
LD_LIBRARY_PATH=".:bin:$LD_LIBRARY_PATH"
export LD_LIBRARY_PATH
params=$*
restart=yes
timeout=10
case " $params " in *" +map "*|*" -nodefaultmap "*) ;; *)
	echo "WARNING: No map specified! Defaulting to c1m1_hotel"
	params="$params +map c1m1_hotel" ;;
esac
case " $params " in *" -game "*) ;; *) params="-game left4dead2 $params" ;; esac
while [ $# -gt 0 ]; do
	case $1 in
	-norestart) restart= ;;
	-timeout) timeout=$2 ;;
	esac
	shift
done
if [ ! -x ./srcds_linux ]; then
	echo "ERROR: Source Engine binary './srcds_linux' not found, exiting"
	exit 1
fi
if [ -z "$restart" ]; then
	exec ./srcds_linux $params
fi
echo "Server will auto-restart if there is a crash."
while :; do
	./srcds_linux $params && break
	echo 'Add "-debug" to the ./srcds_run command line to generate a debug.log to help with solving this problem'
	echo "$(date): Server restart in $timeout seconds"
	sleep "$timeout"
done
echo "$(date): Server Quit"
kill -INT $$
`
