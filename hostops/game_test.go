package hostops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

func TestGameSaysWhatIsInstalled(t *testing.T) {
	h := &Host{Root: t.TempDir(), Emit: func(ctl.Event) {}}
	if g := h.Game(); g.Installed || g.Message != "" {
		t.Errorf("an empty state root: %+v", g)
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(h.Root, "installation", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("srcds_linux", "x")
	write("left4dead2/steam.inf", "ClientVersion=2243\r\nPatchVersion=2.2.4.3\r\nProductName=left4dead2\r\n")
	write("steamapps/appmanifest_222860.acf", "\"AppState\"\n{\n\"StateFlags\"\t\"1026\"\n\"buildid\"\t\"18412299\"\n}\n")
	if g := h.Game(); g.Installed || !strings.Contains(g.Message, "not complete") {
		t.Errorf("an update that is half done: %+v", g)
	}
	write("steamapps/appmanifest_222860.acf", "\"AppState\"\n{\n\"StateFlags\"\t\"4\"\n\"buildid\"\t\"18412299\"\n\"SizeOnDisk\"\t\"9710287462\"\n\"LastUpdated\"\t\"1785799152\"\n}\n")
	g := h.Game()
	if !g.Installed || g.Build != "18412299" || g.Version != "2.2.4.3" || g.Size != 9710287462 || g.Updated.Unix() != 1785799152 {
		t.Errorf("a complete installation: %+v", g)
	}
}

func TestWatchTellsOfTheGameOnce(t *testing.T) {
	var told []ctl.Game
	h := &Host{Root: t.TempDir(), Emit: func(e ctl.Event) { told = append(told, *e.Game) }}
	var w gameWatch
	w.look(h)
	w.look(h)
	if len(told) != 1 || told[0].Installed {
		t.Errorf("told %+v, want once that nothing is installed", told)
	}
}
