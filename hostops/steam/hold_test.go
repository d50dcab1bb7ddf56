package steam

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

func (b *bench) held(t *testing.T) Options {
	t.Helper()
	o := b.withDefaults()
	o.Verb = "install"
	if err := o.prepare(); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOneSteamcmdPerHome(t *testing.T) {
	b := newBench(t, installs)
	o := b.held(t)
	_, release, err := o.hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("steamcmd is busy: l4d2ctl install (process %d) uses %s since ", os.Getpid(), b.Home)
	_, err = Install(t.Context(), b.Options)
	if !errors.Is(err, ctl.ErrBusy) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("another install: %v, want %q", err, want)
	}
	if _, err := LatestBuild(t.Context(), b.Options); !errors.Is(err, ctl.ErrBusy) {
		t.Errorf("asking for the build: %v", err)
	}
	if err := Installed(b.Dir); err == nil || !strings.Contains(err.Error(), "being installed or updated at this moment") {
		t.Errorf("meanwhile the game is %v", err)
	}
	b.Wait = 20 * time.Second
	time.AfterFunc(50*time.Millisecond, release)
	if _, err := Install(t.Context(), b.Options); err != nil {
		t.Errorf("with patience: %v", err)
	}
	if err := Installed(b.Dir); err != nil {
		t.Errorf("afterwards the game is %v", err)
	}
}

// A steamcmd whose l4d2ctl was killed goes on, and nobody may come in between.
func TestTheLocksOutliveUs(t *testing.T) {
	b := newBench(t, installs)
	o := b.held(t)
	files, _, err := o.hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	orphan := exec.Command("sleep", "1000")
	orphan.ExtraFiles = files
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files { // as the kernel does for whoever is killed
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Install(t.Context(), b.Options); !errors.Is(err, ctl.ErrBusy) {
		t.Errorf("an orphan is at work: %v", err)
	}
	if !Changing(b.Dir) {
		t.Error("a game that an orphan changes could be started")
	}
	if err := orphan.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = orphan.Wait() // killed
	if _, err := Install(t.Context(), b.Options); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestWhoIsGoneIsNotNamed(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() // read only from here on
	for text, want := range map[string]string{
		fmt.Sprintf(`{"pid":%d,"verb":"install"}`, gone.Process.Pid): "the steamcmd that a killed l4d2ctl started at ",
		fmt.Sprintf(`{"pid":%d,"verb":"a\u001bb"}`, os.Getpid()):     `l4d2ctl a\x1bb (process `,
		"": "another program uses /steam", "nonsense": "another program uses /steam", `{"pid":-1}`: "another program uses /steam",
	} {
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		if got := describe(f, "/steam"); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
