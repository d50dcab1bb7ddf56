package steamsim

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// addon puts an item's file into addons/.
func (h *host) addon(id uint64) item {
	h.Helper()
	it, ok := findItem(id, 1)
	if !ok {
		h.Fatalf("no item %d", id)
	}
	b, err := io.ReadAll(it.file().reader())
	if err != nil {
		h.Fatal(err)
	}
	h.write(fmt.Sprintf("left4dead2/addons/%d.vpk", id), string(b))
	return it
}

func TestMapsComeFromAddons(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "rcon_password pw\n")
	h.addon(3100000005)
	h.addon(3100000004) // of version 2
	h.addon(faultyID("many_entries"))
	h.addon(faultyID("missing_parts"))
	g := h.start("+map", "trw1_town coop")
	want(t, g.out.String(), "Host_NewGame on map trw1_town\n")
	all := g.rcon("pw", "maps *")
	for _, line := range []string{"PENDING:   (fs) c1m1_hotel.bsp\n", "PENDING:   (fs) tre1_dam.bsp\n", "PENDING:   (fs) papermill4_m1_"} {
		want(t, all, line)
	}
	if strings.Contains(all, "faulty") {
		t.Errorf("maps that cannot be read are listed:\n%s", all)
	}
	if got := g.rcon("pw", "maps trw"); got != "PENDING:   (fs) trw1_town.bsp\nPENDING:   (fs) trw2_locks.bsp\n" {
		t.Errorf("maps trw: %s", got)
	}
	if got := g.rcon("pw", "maps lf1"); got != "" {
		t.Errorf("maps lf1: %s", got)
	}
	want(t, g.rcon("pw", "changelevel TRW2_Locks"), "Host_NewGame on map TRW2_Locks\n")

	h.addon(3100000006)
	want(t, g.rcon("pw", "changelevel lf1_pier"), "changelevel failed: lf1_pier not found\n")
	g.rcon("pw", "update_addon_paths; mission_reload")
	want(t, g.rcon("pw", "maps lf1"), "PENDING:   (fs) lf1_pier.bsp\n")
	want(t, g.rcon("pw", "changelevel lf1_pier"), "Host_NewGame on map lf1_pier\n")
}

func TestBadAddonsKillTheServer(t *testing.T) {
	for _, fault := range []string{"zip", "corrupt_tree", "not_vpk", "empty_file"} {
		h := newServer(t, SrcdsControl{}, "")
		h.addon(faultyID(fault))
		g := h.launch("+map", "c1m1_hotel")
		if status := g.status(g.cmd.Wait()); status != 128+int(syscall.SIGSEGV) || !strings.Contains(g.out.String(), ".vpk is not a valid VPK\n") {
			t.Errorf("%s: status %d\n%s", fault, status, g.out)
		}
	}
}

func TestBadAddonKillsARunningServer(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "")
	g := h.start()
	h.addon(faultyID("zip"))
	if _, err := io.WriteString(g.stdin, "update_addon_paths\n"); err != nil {
		t.Fatal(err)
	}
	if status := g.status(g.cmd.Wait()); status != 128+int(syscall.SIGSEGV) {
		t.Errorf("status %d", status)
	}
}

// listVPK meets hostile files: it must come back with an answer.
func TestListVPK(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"empty": "", "short": "\x34\x12\xaa\x55", "tree longer than the file": "\x34\x12\xaa\x55\x01\x00\x00\x00\xff\xff\xff\xff",
		"version 3": "\x34\x12\xaa\x55\x03\x00\x00\x00\x01\x00\x00\x00\x00", "no end": "\x34\x12\xaa\x55\x01\x00\x00\x00\x04\x00\x00\x00bsp\x00",
		"half an entry": "\x34\x12\xaa\x55\x01\x00\x00\x00\x0b\x00\x00\x00bsp\x00maps\x00a\x00",
	} {
		path := filepath.Join(dir, name)
		if err := writeFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if files, err := listVPK(path); err == nil {
			t.Errorf("%s: %v", name, files)
		}
	}
	path := filepath.Join(dir, "nothing in it")
	if err := writeFile(path, []byte("\x34\x12\xaa\x55\x01\x00\x00\x00\x01\x00\x00\x00\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	if files, err := listVPK(path); err != nil || files != nil {
		t.Errorf("an empty VPK: %v, %v", files, err)
	}
}
