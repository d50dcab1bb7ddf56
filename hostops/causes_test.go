package hostops

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
	"left4me/hostops/vpk/vpktest"
)

func TestCauseLines(t *testing.T) {
	tests := map[string]struct{ key, says string }{
		"Couldn't allocate any server IP port":                              {"port", "could not bind its port"},
		"dlopen failed trying to load:":                                     {"steamclient", "steamclient.so in .steam/sdk32"},
		"/h/.steam/sdk32/steamclient.so: cannot open shared object file: x": {"steamclient", "run l4d2ctl install again"},
		"Failed to open dedicated_srv.so (bin/engine_srv.so: cannot enable executable stack as shared object requires: Invalid argument)":                            {"execstack", "does not load engine_srv.so, because that file asks for an executable stack: run l4d2ctl install"},
		`[SM] Unable to load extension "x.ext": /g/left4dead2/addons/sourcemod/extensions/x.ext.so: cannot enable executable stack as shared object requires: Inval`: {"execstack", "does not load x.ext.so, because that file asks for an executable stack: take a newer build of the plug-in"},
		"./srcds_linux: error while loading shared libraries: libstdc++.so.6: cannot open shared object file: No such file or directory":                             {"library", "apt-get install lib32stdc++6"},
		"Failed to open dedicated_srv.so (libtier0_srv.so: cannot open shared object file: No such file or directory)":                                               {"library", "the game's own library libtier0_srv.so is missing: run l4d2ctl install"},
		"x: libodd.so.3: cannot open shared object file":                        {"library", "libodd.so.3 is missing"},
		"Unable to open /g/left4dead2/addons/my map.vpk":                        {"unreadable", "may not read the add-on my map.vpk"},
		"CPackedStore: bad.vpk is not a valid VPK":                              {"vpk", "the add-on bad.vpk is no VPK"},
		"Setup file 'gameinfo.txt' doesn't exist in subdirectory 'left4dead2'.": {"gameinfo", "run l4d2ctl install"},
		"CModelLoader::Map_IsValid:  No such map 'maps/c9m9.bsp'":               {"map", "there is no map c9m9"},
		"map load failed: c9m9 not found or invalid":                            {"map", "there is no map c9m9"},

		// seen on healthy servers
		"[S_API FAIL] SteamAPI_Init() failed; create pipe failed.":                               {},
		"libcurl.so: cannot open shared object file: No such file or directory":                  {},
		"Failed to open left4dead2_dlc3/bin/server_srv.so: cannot open shared object file: No":   {},
		`Unable to load plugin "addons/metamod/bin/linux64/server"`:                              {},
		"wrong ELF class: ELFCLASS64":                                                            {},
		"Unable to remove /g/left4dead2/addonlist.txt!":                                          {},
		"String Table dictionary for downloadables should be rebuilt, only found 19":             {},
		`"Player<2><STEAM_1:0:1><Survivor>" say "Couldn't allocate any server IP port"`:          {},
		"PENDING:   (fs) c1m1_hotel.bsp":                                                         {},
		"Cbuf_AddText: buffer overflow":                                                          {},
		"Parent cvar in server.dll not allowed (director_afk_timeout)":                           {},
		"[SM] Failed to load plugin \"x.smx\": Unable to load plugin (no debug string table).":   {},
		"ConVarRef test_progression_loop doesn't point to an existing ConVar":                    {},
		"Your server needs to be restarted in order to receive the latest update.":               {},
		"Loading addon left4dead2/addons/fine.vpk":                                               {},
		"Could not load model props/x.mdl from fine.vpk":                                         {},
		"[S_API] SteamAPI_Init(): Loaded '/h/.steam/sdk32/steamclient.so' OK.":                   {},
		"PreMinidumpCallback: updating dump comment":                                             {},
		"Server is hibernating":                                                                  {},
		"Initializing Steam libraries for secure Internet server":                                {},
		"Failed to load addon info from workshop: 12345.vpk has no addoninfo.txt, using default": {},
	}
	for line, want := range tests {
		c := causeOf(line)
		switch {
		case want.key == "" && c != nil:
			t.Errorf("%q is noise, and gave %s: %s", line, c.key, c.sentence)
		case want.key != "" && (c == nil || c.key != want.key || !strings.Contains(c.sentence, want.says)):
			t.Errorf("%q gave %+v, want %s with %q", line, c, want.key, want.says)
		}
	}
}

func TestWeakCausesGiveWay(t *testing.T) {
	var m markers
	m.take("libodd.so.3: cannot open shared object file")
	m.take("CPackedStore: bad.vpk is not a valid VPK")
	m.take("libodd.so.4: cannot open shared object file")
	if m.cause == nil || m.cause.key != "vpk" || m.addon != "bad.vpk" {
		t.Errorf("got %+v, add-on %q", m.cause, m.addon)
	}
}

func TestAddonFaults(t *testing.T) {
	dir := t.TempDir()
	good := string(vpktest.Of("maps/a.bsp", "x"))
	tests := map[string]struct{ content, want string }{
		"good.vpk": {good, ""},
		"half.vpk": {good[:len(good)-1], fmt.Sprintf(`cannot be mounted ("maps/a.bsp" should reach to byte %d, and its file ends at %d)`, len(good), len(good)-1)},
		"zip.vpk":  {"PK\x03\x04 and more", "is a ZIP archive and no VPK"},
		"rar.vpk":  {"Rar!\x1a\x07\x01", "is a RAR archive and no VPK"},
		"7z.vpk":   {"7z\xbc\xaf\x27\x1c", "is a 7z archive and no VPK"},
		"html.vpk": {"<!doctype html>", "is a web page and no VPK"},
		"text.vpk": {"not found", "is no VPK"},
		"none.vpk": {"", "is empty"},
		"cut.vpk":  {vpkMagic, "is cut off"},
	}
	for name, tt := range tests {
		path := filepath.Join(dir, name)
		writeFile(t, path, tt.content)
		if got := addonFault(path); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
	for name, target := range map[string]string{"is a link that leads nowhere": "/nowhere", "is no regular file": dir} {
		path := filepath.Join(dir, "link.vpk")
		_ = os.Remove(path) // of the round before
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if got := addonFault(path); got != name {
			t.Errorf("a link to %s: got %q", target, got)
		}
	}
}

func TestDiagnoseLooksThroughTheLayers(t *testing.T) {
	h, _, _ := newHost(t)
	initialise(t, h, "friday", freePort(t))
	stuck := markers{hibernated: true}
	down := supervisor.Instance{State: ctl.ServerFailed, Applied: &ctl.Applied{Overlays: []string{"1/v1", "2/v1"}}}
	if c := h.diagnose("friday", down, stuck); c != nil {
		t.Errorf("nothing is wrong: %+v", c)
	}
	writeFile(t, h.path("overlays/2/v1/left4dead2/addons/a.vpk"), "zip")
	writeFile(t, h.path("overlays/1/v1/left4dead2/addons/a.vpk"), string(vpktest.Of()))
	set := vpktest.Package{Files: []vpktest.File{{Path: "maps/a.bsp", Data: "x", Part: 1}}}
	writeFile(t, h.path("overlays/2/v1/left4dead2/addons/set_dir.vpk"), string(set.Bytes()))
	writeFile(t, h.path("overlays/2/v1/left4dead2/addons/set_000.vpk"), string(set.Parts()[0]))
	if c := h.diagnose("friday", down, stuck); c != nil {
		t.Errorf("the upper one hides the bad one: %+v", c)
	}
	writeFile(t, h.path("overlays/2/v1/left4dead2/addons/b.vpk"), "zip")
	c := h.diagnose("friday", down, stuck)
	if c == nil || !strings.Contains(c.sentence, "the add-on b.vpk (overlay 2/v1) is no VPK") {
		t.Errorf("got %+v", c)
	}
	if c := h.diagnose("friday", down, markers{hibernated: true, loaded: true}); c != nil {
		t.Errorf("a map was loaded, so the add-ons were mounted: %+v", c)
	}
	running := supervisor.Instance{State: ctl.ServerRunning, Applied: &ctl.Applied{}}
	if c := h.diagnose("friday", running, stuck); c == nil || c.key != "valve.rc" {
		t.Errorf("without valve.rc: %+v", c)
	}
	if c := h.diagnose("friday", down, markers{addon: "last.vpk"}); c == nil || !strings.Contains(c.sentence, "last.vpk: try without it") {
		t.Errorf("the add-on named last: %+v", c)
	}
}

func TestStatusOfAFailureNamesTheCause(t *testing.T) {
	h, fake, rec := newHost(t)
	initialise(t, h, "friday", freePort(t))
	fake.print("friday", "x: libold.so.1: cannot open shared object file", bannerLine, "Couldn't allocate any server IP port")
	fake.set("friday", supervisor.Instance{State: ctl.ServerFailed, Message: "It ended 4 times."})
	st, err := h.Status(t.Context(), "friday")
	want := "It ended 4 times. It could not bind its port, because another program took it first: end that program, or give the server another port."
	if err != nil || st.Message != want {
		t.Errorf("got %q, %v", st.Message, err)
	}
	w := &watcher{h: h, name: "friday"}
	for range 2 {
		if st := w.look(t.Context()); st.Message != want {
			t.Errorf("watch says %q", st.Message)
		}
	}
	_ = rec
}

func TestStatusSaysWhatAStartIsStuckAt(t *testing.T) {
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", freePort(t))
	writeFile(t, h.path("installation/left4dead2/cfg/valve.rc"), "x")
	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning, PID: 1, Since: time.Now().Add(-time.Minute)})
	fake.print("friday", "Server is hibernating")
	st, err := h.Status(t.Context(), "friday")
	if err != nil || st.State != ctl.ServerStarting || !strings.HasPrefix(st.Message, `It stands at "Server is hibernating" before its first map`) {
		t.Errorf("got %+v, %v", st, err)
	}
}
