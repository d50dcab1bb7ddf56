package steamsim

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fetch runs workshop_download_item and returns its last lines.
func (h *host) fetch(ids ...uint64) string {
	h.Helper()
	args := []string{"+force_install_dir", h.game, "+login", "anonymous"}
	for _, id := range ids {
		args = append(args, "+workshop_download_item", "550", strconv.FormatUint(id, 10))
	}
	out, _ := h.steamcmd(append(args, "+quit")...)
	return out
}

func (h *host) itemDir(id uint64) string {
	return filepath.Join(h.game, "steamapps/workshop/content/550", strconv.FormatUint(id, 10))
}

func want(t *testing.T, text, line string) {
	t.Helper()
	if !strings.Contains(text, line) {
		t.Errorf("no %q in:\n%s", line, text)
	}
}

func TestItemOfTheOldKind(t *testing.T) {
	h := newHost(t, Control{})
	it, _ := findItem(smallItem, 1)
	out := h.fetch(smallItem)
	path := filepath.Join(h.itemDir(smallItem), fmt.Sprint(it.handle())+"_legacy.bin")
	want(t, out, "workshop_download_item 550 3100000006\nDownloading item 3100000006 ...\n")
	want(t, out, fmt.Sprintf("Success. Downloaded item 3100000006 to \"%s\" (%d bytes)", path, it.content().size))
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(it.content().reader()); !bytes.Equal(got, b) {
		t.Errorf("%d bytes that are not the item's", len(got))
	}
}

func TestItemOfTheNewKind(t *testing.T) {
	h := newHost(t, Control{})
	id := faultyID("no_url")
	out := h.fetch(id)
	want(t, out, fmt.Sprintf("Success. Downloaded item %d to \"%s\" (", id, h.itemDir(id)))
	files, err := filepath.Glob(filepath.Join(h.itemDir(id), "*"))
	if err != nil || len(files) != 1 || !strings.HasSuffix(files[0], ".vpk") {
		t.Fatalf("in the folder: %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	unpack(t, b)
}

// What stands in the record is not fetched again, even when it is gone.
func TestFalseSuccessAfterTheFileWasDeleted(t *testing.T) {
	h := newHost(t, Control{})
	h.fetch(smallItem, 3100000003)
	if err := os.RemoveAll(h.itemDir(smallItem)); err != nil {
		t.Fatal(err)
	}
	want(t, h.fetch(smallItem), "Success. Downloaded item 3100000006 to ")
	if _, err := os.Stat(h.itemDir(smallItem)); err == nil {
		t.Fatal("the item came back although its record stands")
	}
	h.control(Control{Workshop: WorkshopControl{Items: map[string]ItemControl{"3100000006": {Revision: 2}}}})
	h.fetch(smallItem) // an update is fetched
	if _, err := os.Stat(h.itemDir(smallItem)); err != nil {
		t.Error(err)
	}
	h.control(Control{})
	if err := os.RemoveAll(h.itemDir(3100000003)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(h.game, "steamapps/workshop/appworkshop_550.acf")); err != nil {
		t.Fatal(err)
	}
	h.fetch(3100000003)
	if _, err := os.Stat(h.itemDir(3100000003)); err != nil {
		t.Error(err)
	}
}

func TestItemsThatSteamcmdCannotFetch(t *testing.T) {
	h := newHost(t, Control{})
	words := map[uint64]string{55: "File Not Found", starterSet: "Failure"}
	for fault, says := range steamcmdSays {
		words[faultyID(fault)] = says
	}
	var ids []uint64
	for id := range words {
		ids = append(ids, id)
	}
	out := h.fetch(append(ids, smallItem)...)
	for id, says := range words {
		want(t, out, fmt.Sprintf("ERROR! Download item %d failed (%s).\n", id, says))
	}
	want(t, out, "Success. Downloaded item 3100000006 to ")
	if out, status := h.steamcmd("+login", "anonymous", "+workshop_download_item", "550", "55", "+quit"); status != 0 {
		t.Errorf("the status of a session that goes on is %d:\n%s", status, out)
	}
	if _, status := h.steamcmd("+@ShutdownOnFailedCommand", "1", "+login", "anonymous", "+workshop_download_item", "550", "55", "+quit"); status != 8 {
		t.Errorf("with @ShutdownOnFailedCommand: status %d", status)
	}
	if out, _ := h.steamcmd("+workshop_download_item", "550", "3100000006", "+quit"); !strings.Contains(out, "ERROR! Not logged on.") {
		t.Errorf("without a login:\n%s", out)
	}
	if out, _ := h.steamcmd("+login", "anonymous", "+workshop_download_item", "550", "+quit"); !strings.Contains(out, "Usage: workshop_download_item") {
		t.Errorf("without an id:\n%s", out)
	}
	h.control(Control{Workshop: WorkshopControl{Items: map[string]ItemControl{"3100000003": {Faults: []string{"steamcmd_timeout"}, Count: 1}}}})
	want(t, h.fetch(3100000003), "failed (Timeout).\n")
	want(t, h.fetch(3100000003), "Success. Downloaded item 3100000003 to ")
}

func TestDisguisedItemByWayOfSteamcmd(t *testing.T) {
	h := newHost(t, Control{})
	h.fetch(faultyID("zip"))
	files, _ := filepath.Glob(filepath.Join(h.itemDir(faultyID("zip")), "*_legacy.bin"))
	if len(files) != 1 || !strings.HasPrefix(h.read(files[0]), "PK\x03\x04") {
		t.Errorf("files: %v", files)
	}
}
