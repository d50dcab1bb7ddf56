package hostops

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
	"left4me/hostops/supervisor"
)

// layersOf lists the generated layers of an instance by their absolute paths.
func layersOf(t *testing.T, h *Host, name string) []string {
	t.Helper()
	layers, err := filepath.Glob(h.path(dirInstances, name, layersDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return layers
}

func TestInitializeCopiesExecutedOverlays(t *testing.T) {
	h, _, rec := newHost(t)
	writeFile(t, h.path("overlays/1/v1/left4dead2/cfg/server.cfg"), "sv_alltalk 1\nrcon_password theirs\n")
	writeFile(t, h.path("overlays/2/v1/left4dead2/cfg/server.cfg"), "sv_alltalk 0\n")
	writeFile(t, h.path("overlays/3/v1/left4dead2/addons/x.vpk"), "x")
	spec := `{"port":27015,"rcon_password":"secret1234","overlays":["1/v1","3/v1","2/v1"],"config":"sv_x 1"%s}`
	initialize := func(exec string) (string, []string) {
		t.Helper()
		notices, err := h.Initialize(t.Context(), "friday", "spec", strings.NewReader(fmt.Sprintf(spec, exec)))
		if err != nil {
			t.Fatal(err)
		}
		layers := layersOf(t, h, "friday")
		if len(layers) != 1 {
			t.Fatalf("layers %q", layers)
		}
		return layers[0], notices
	}
	plain, notices := initialize("")
	if len(notices) > 0 {
		t.Errorf("notices %q", notices)
	}
	layer, notices := initialize(`,"exec":["1/v1","2/v1","3/v1"]`)
	if layer == plain {
		t.Error("another configuration has the same layer")
	}
	for name, want := range map[string]string{
		"server.cfg":           servercfg.Banner + "exec server_overlay_2\nexec server_overlay_1\nsv_x 1\nrcon_password \"secret1234\"\n",
		"server_overlay_1.cfg": "sv_alltalk 1\nrcon_password theirs\n",
		"server_overlay_2.cfg": "sv_alltalk 0\n",
	} {
		path := filepath.Join(layer, cfgDir, name)
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if len(notices) != 2 || !strings.Contains(notices[0], "overlay 3/v1 has no left4dead2/cfg/server.cfg") ||
		notices[1] != "line 2 of overlay 1/v1's server.cfg sets rcon_password; the server's own comes last and wins" {
		t.Errorf("notices %q", notices)
	}
	if !strings.Contains(rec.text(), "Note: overlay 3/v1 has no left4dead2/cfg/server.cfg") {
		t.Error("the notice was not said")
	}
	if again, _ := initialize(`,"exec":["1/v1","2/v1","3/v1"]`); again != layer {
		t.Errorf("the same again made %s of %s", again, layer)
	}
}

func TestInitializeRefusesABadExecutedCfg(t *testing.T) {
	h, _, _ := newHost(t)
	writeFile(t, h.path("overlays/1/v1/left4dead2/cfg/server.cfg"), "a\x00b")
	spec := "port: 27015\nrcon_password: secret1234\noverlays: [1/v1]\nexec: [1/v1]\n"
	_, err := h.Initialize(t.Context(), "friday", "spec", strings.NewReader(spec))
	if !errors.Is(err, ctl.ErrContent) || !strings.Contains(err.Error(), "server.cfg of overlay 1/v1 contains a NUL byte") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(h.path(dirInstances, "friday")); err == nil {
		t.Error("a refused spec left something behind")
	}
}

// The layer that a running game has mounted is never touched, and a damaged one
// never runs.
func TestStartRepairsADamagedLayer(t *testing.T) {
	h, fake, _ := newHost(t)
	writeFile(t, h.path("overlays/1/v1/left4dead2/cfg/server.cfg"), "sv_alltalk 1\n")
	spec := fmt.Sprintf("port: %d\nrcon_password: secret1234\noverlays: [1/v1]\nexec: [1/v1]\n", freePort(t))
	if _, err := h.Initialize(t.Context(), "friday", "spec", strings.NewReader(spec)); err != nil {
		t.Fatal(err)
	}
	layer := layersOf(t, h, "friday")[0]
	copied := filepath.Join(layer, cfgDir, "server_overlay_1.cfg")
	before, err := os.Stat(layer)
	if err != nil {
		t.Fatal(err)
	}
	start := func() {
		t.Helper()
		fake.set("friday", supervisor.Instance{State: ctl.ServerStopped})
		if _, err := h.Start(t.Context(), "friday", 1); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(copied); err != nil || string(got) != "sv_alltalk 1\n" {
			t.Errorf("the copy is %q, %v", got, err)
		}
	}
	start()
	if after, err := os.Stat(layer); err != nil || !os.SameFile(before, after) {
		t.Errorf("a layer that was right was made again: %v", err)
	}
	if err := os.Remove(copied); err != nil {
		t.Fatal(err)
	}
	start()
	writeFile(t, filepath.Join(layer, cfgDir, "server_overlay_9.cfg"), "sv_x 1\n")
	start()
	if _, err := os.Lstat(filepath.Join(layer, cfgDir, "server_overlay_9.cfg")); err == nil {
		t.Error("a file that does not belong into the layer is still there")
	}
}

func TestLANByAnExecutedOverlay(t *testing.T) {
	h, _, _ := newHost(t)
	layer := filepath.Join(dirInstances, "friday", layersDir, "x")
	writeFile(t, h.path(layer, cfgDir, "server.cfg"), servercfg.Banner+"exec server_overlay_1\n")
	writeFile(t, h.path(layer, cfgDir, "server_overlay_1.cfg"), "sv_lan 1\n")
	if got := h.lanReason(&ctl.Applied{Layer: layer}, markers{}); got != "its config sets sv_lan 1" {
		t.Errorf("got %q", got)
	}
}
