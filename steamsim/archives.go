package steamsim

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"time"
)

// packedDay is when every file in an archive was changed last.
var packedDay = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// tarOf is a .tar.gz of the files below prefix, with an entry for every folder.
func tarOf(prefix string, files []packed) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed) // the level is right
	t := tar.NewWriter(z)
	known := map[string]bool{}
	for _, f := range files {
		name := prefix + f.path
		for i, c := range name {
			if dir := name[:i]; c == '/' && !known[dir] {
				known[dir] = true
				_ = t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: packedDay}) // memory does not fail
			}
		}
		mode := int64(0o644)
		if strings.HasSuffix(name, ".so") {
			mode = 0o755
		}
		_ = t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: f.content.size, Mode: mode, ModTime: packedDay, Uname: "builds", Gname: "builds", Uid: 1001, Gid: 1001}) // see above
		_, _ = io.Copy(t, f.content.reader())
	}
	_ = t.Close()
	_ = z.Close()
	return out.Bytes()
}

// zipOf is a .zip of the files.
func zipOf(files ...packed) []byte {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range files {
		if w, err := z.CreateHeader(&zip.FileHeader{Name: f.path, Method: zip.Deflate, Modified: packedDay}); err == nil {
			_, _ = io.Copy(w, f.content.reader()) // memory does not fail
		}
	}
	_ = z.Close() // see above
	return out.Bytes()
}

// library32 is a shared object that nothing can load.
func library32(name string, size int64) packed {
	b := new(blob)
	b.add(fakeELF(name[strings.LastIndexByte(name, '/')+1:]))
	b.addNoise(newNoise(uint64(len(name))), size)
	return packed{path: name, content: b}
}

// plugin is a compiled SourceMod plug-in, by its first bytes.
func plugin(name string) packed {
	b := new(blob)
	b.add([]byte("FFPS\x02\x01"))
	b.addNoise(newNoise(uint64(len(name))), 6000)
	return packed{path: name, content: b}
}

func metamodFiles(version string) []packed {
	return []packed{
		literal("addons/metamod.vdf", "\"Plugin\"\n{\n\t\"file\"\t\"addons/metamod/bin/server\"\n}\n"),
		literal("addons/metamod_x64.vdf", "\"Plugin\"\n{\n\t\"file\"\t\"addons/metamod/bin/linux64/server\"\n}\n"),
		library32("addons/metamod/bin/server.so", 30_000),
		library32("addons/metamod/bin/metamod.2.l4d2.so", 60_000),
		library32("addons/metamod/bin/linux64/server.so", 30_000),
		literal("addons/metamod/metaplugins.ini", "; Metamod:Source "+version+"\n"),
		literal("addons/metamod/README.txt", "Metamod:Source "+version+", simulated\n"),
	}
}

func sourcemodFiles(version string) []packed {
	files := []packed{
		literal("addons/metamod/sourcemod.vdf", "\"Metamod Plugin\"\n{\n\t\"alias\"\t\"sourcemod\"\n\t\"file\"\t\"addons/sourcemod/bin/sourcemod_mm\"\n}\n"),
		library32("addons/sourcemod/bin/sourcemod_mm_i486.so", 90_000),
		library32("addons/sourcemod/bin/sourcemod.2.l4d2.so", 200_000),
		library32("addons/sourcemod/bin/sourcepawn.jit.x86.so", 150_000),
		library32("addons/sourcemod/extensions/sdktools.ext.2.l4d2.so", 80_000),
		library32("addons/sourcemod/extensions/bintools.ext.so", 20_000),
		literal("addons/sourcemod/configs/admins_simple.ini", "// \"STEAM_1:0:123\" \"99:z\"\n"),
		literal("addons/sourcemod/configs/admins.cfg", "Admins\n{\n}\n"),
		literal("addons/sourcemod/configs/core.cfg", "\"Core\"\n{\n\t\"Logging\"\t\"on\"\n}\n"),
		literal("addons/sourcemod/configs/databases.cfg", "\"Databases\"\n{\n}\n"),
		literal("addons/sourcemod/gamedata/core.games/engine.l4d2.txt", "\"Games\"\n{\n}\n"),
		literal("addons/sourcemod/translations/common.phrases.txt", "\"Phrases\"\n{\n}\n"),
		literal("addons/sourcemod/LICENSE.txt", "GPL; SourceMod "+version+", simulated\n"),
		literal("addons/sourcemod/scripting/basecommands.sp", "// source\n"),
		literal("cfg/sourcemod/sourcemod.cfg", "// executed on every map\n"),
	}
	for _, name := range []string{"admin-flatfile", "adminhelp", "adminmenu", "basebans", "basechat", "basecomm", "basecommands", "basetriggers", "basevotes", "funcommands", "playercommands"} {
		files = append(files, plugin("addons/sourcemod/plugins/"+name+".smx"))
	}
	return append(files, plugin("addons/sourcemod/plugins/disabled/mapchooser.smx"), plugin("addons/sourcemod/plugins/disabled/nextmap.smx"))
}

func tickrateFiles() []packed {
	return []packed{
		library32("addons/tickrate_enabler.so", 25_000),
		literal("addons/tickrate_enabler.vdf", "\"Plugin\"\n{\n\t\"file\"\t\"../left4dead2/addons/tickrate_enabler\"\n}\n"),
	}
}

func reworkFiles(version string) []packed {
	files := append(metamodFiles("1.12"), sourcemodFiles("1.12")...)
	files = append(files, tickrateFiles()...)
	files = append(files,
		library32("addons/l4dtoolz/l4dtoolz.so", 40_000),
		literal("addons/l4dtoolz.vdf", "\"Plugin\"\n{\n\t\"file\"\t\"addons/l4dtoolz/l4dtoolz\"\n}\n"),
		literal("addons/sourcemod/configs/matchmodes.cfg", "\"MatchModes\"\n{\n\t\"ZoneMod\"\n\t{\n\t\t\"zonemod\"\n\t\t{\n\t\t\t\"name\"\t\"ZoneMod "+version+"\"\n\t\t}\n\t}\n}\n"),
		literal("addons/sourcemod/data/left4dhooks.l4d2.cfg", "// "+version+"\n"),
		literal("cfg/server.cfg", "hostname \"Competitive Rework\"\nsv_gametypes \"versus\"\nexec spcontrol_server\n"),
		literal("cfg/spcontrol_server.cfg", "// "+version+"\n"),
		literal("cfg/generalfixes.cfg", "// "+version+"\n"),
		literal("cfg/sharedplugins.cfg", "sm plugins load optional/readyup.smx\n"),
		literal("scripts/vscripts/scriptedmode_addon.nut", "// ladder fixes\n"),
		literal("host.txt", "Competitive Rework\n"), literal("motd.txt", "!match\n"))
	for _, name := range []string{"zonemod", "zm1v1", "zm2v2", "acemodv", "nextmod", "promod"} {
		files = append(files, literal("cfg/cfgogl/"+name+"/"+name+".cfg", "// "+name+" "+version+"\n"), literal("cfg/cfgogl/"+name+"/confogl_plugins.cfg", "// plug-ins of "+name+"\n"))
	}
	for _, name := range []string{"readyup", "pause", "l4d2_boss_percents", "playermanagement"} {
		files = append(files, plugin("addons/sourcemod/plugins/optional/"+name+".smx"))
	}
	return append(files, plugin("addons/sourcemod/plugins/left4dhooks.smx"), plugin("addons/sourcemod/plugins/confoglcompmod.smx"))
}
