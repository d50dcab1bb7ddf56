package workshop

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// withSteamcmd gives the bench a steamcmd that brings for each item what lies as
// ITEM in the folder $HOME/has, and fails for the others.
func (b *bench) withSteamcmd(t *testing.T) (has string) {
	t.Helper()
	home := filepath.Join(t.TempDir(), "steam")
	has = filepath.Join(home, "has")
	if err := os.MkdirAll(has, 0o755); err != nil {
		t.Fatal(err)
	}
	script := `#!/bin/sh
take=
for ARG in "$@"; do
	case "$take" in
	dir) DIR=$ARG; take= ;;
	app) take=item ;;
	item)
		take=
		C=$DIR/steamapps/workshop/content/550/$ARG
		if [ -e $HOME/has/$ARG ]; then
			mkdir -p $C && cp $HOME/has/$ARG $C/${ARG}_legacy.bin
			echo "Success. Downloaded item $ARG to \"$C\""
		else
			echo "ERROR! Download item $ARG failed (File Not Found)."
		fi ;;
	*) case "$ARG" in +force_install_dir) take=dir ;; +workshop_download_item) take=app ;; esac ;;
	esac
done
`
	// A child that another test starts meanwhile would inherit the open file, and a
	// program that is open for writing cannot be run.
	syscall.ForkLock.RLock()
	err := os.WriteFile(filepath.Join(home, "steamcmd.sh"), []byte(script), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	b.Steam = steam.Options{Steamcmd: filepath.Join(home, "steamcmd.sh"), Home: home}
	return has
}

// Items without a file of their own, or whose host does not give it out, come by
// steamcmd; one that it cannot get either says why.
func TestDetour(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	has := b.withSteamcmd(t)
	b.steam.add("101", 5000, "file_url", "")
	b.steam.add("102", 5000, "file_url", "https://127.0.0.1/x")
	b.steam.add("103", 5000, "file_url", "", "preview_url", "")
	b.steam.add("104", 5000)
	b.steam.onFile(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	for _, id := range []string{"101", "102", "104"} {
		if err := os.WriteFile(filepath.Join(has, id), b.steam.content[id], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.fetch(t, "101", "102", "103", "104")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"101", "102", "104"} {
		if it := got[id]; it.State != ctl.ItemStored || !it.Changed {
			t.Errorf("item %s: %+v", id, it)
		}
		b.mustHold(t, id)
	}
	if it := got["103"]; it.State != ctl.ItemFailed || !strings.Contains(it.Message, "File Not Found") {
		t.Errorf("item 103: %+v", it)
	}
	if left := b.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, v := range []string{"101", "104"} {
		s, err := b.Store.Newest(v)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(b.Store.File(v, s.Stamp)); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("file of %s: %v, %v", v, info.Mode(), err)
		}
	}
	if last := lastProgress(b); last.Done > last.Total {
		t.Errorf("progress ended with %d of %d bytes", last.Done, last.Total)
	}
}

func lastProgress(b *bench) (last ctl.Phase) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Type == ctl.EventProgress {
			last = *e.Phase
		}
	}
	return last
}

// What concerns all of them costs none of those that came directly.
func TestDetourWithoutSteamcmd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Steam = steam.Options{Steamcmd: filepath.Join(t.TempDir(), "steamcmd.sh"), Home: t.TempDir()}
	b.steam.add("101", 5000, "file_url", "")
	b.steam.add("102", 5000)
	got, err := b.fetch(t, "101", "102")
	if it := got["101"]; err != nil || it.State != ctl.ItemFailed || !strings.Contains(it.Message, "steamcmd is not at") {
		t.Errorf("item 101: %+v, %v", it, err)
	}
	b.mustHold(t, "102")
}
