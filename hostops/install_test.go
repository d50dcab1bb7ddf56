package hostops

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
	"left4me/hostops/supervisor"
)

// A start holds the game until its files are mounted, so an install cannot come
// between the look whether it is complete and the mount.
func TestInstallCannotOvertakeAStart(t *testing.T) {
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", freePort(t))
	mounting, goOn := make(chan struct{}), make(chan struct{})
	fake.launch = func(supervisor.Launch) error {
		fake.set("friday", supervisor.Instance{State: ctl.ServerStopped}) // not up yet for whoever asks
		close(mounting)
		<-goOn
		fake.set("friday", supervisor.Instance{State: ctl.ServerRunning})
		return nil
	}
	started := make(chan error, 1)
	go func() {
		_, err := h.Start(t.Context(), "friday", 10*time.Millisecond)
		started <- err
	}()
	<-mounting
	if _, err := h.Install(t.Context(), steam.MethodAuto, io.Discard); !errors.Is(err, ctl.ErrBusy) || !strings.Contains(err.Error(), "the game is busy") {
		t.Errorf("while it is mounting: %v", err)
	}
	close(goOn)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if _, err := h.Install(t.Context(), steam.MethodAuto, io.Discard); !errors.Is(err, ctl.ErrInUse) || !strings.Contains(err.Error(), "server friday is running") {
		t.Errorf("while it runs: %v", err)
	}
}

func TestStartRefusesAGameThatIsBeingChanged(t *testing.T) {
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", freePort(t))
	for flags, want := range map[string]string{"1026": "not complete (Steam's state flags are 1026)", "6": "not complete", "2": "not complete", "514": "not complete"} {
		writeFile(t, h.path("installation/steamapps/appmanifest_222860.acf"), "\"AppState\"\n{\n\"StateFlags\" \""+flags+"\"\n\"buildid\" \"12\"\n}\n")
		if _, err := h.Start(t.Context(), "friday", time.Second); !errors.Is(err, ctl.ErrNotInstalled) || !strings.Contains(err.Error(), want) {
			t.Errorf("state flags %s: %v", flags, err)
		}
	}
	if fake.called("start friday") {
		t.Error("the game was started")
	}
}

func TestMountedBelow(t *testing.T) {
	const table = `36 35 0:52 / /var/lib/left4me/runtime/friday/merged rw,relatime shared:1 - overlay left4me:friday:3f2a rw,lowerdir=/a
37 35 0:53 / /var/lib/left4me/runtime/friday/merged/x rw - overlay left4me:friday:3f2a rw
38 35 0:54 / /var/lib/left4me/runtime/monday/merged rw shared:2 master:1 - overlay left4me:monday rw
39 35 0:55 / /var/lib/left4me/runtime/sunday/merged rw - overlay overlay rw
40 35 0:56 / /var/lib/left4me2/runtime/other/merged rw - overlay left4me:other:1 rw
41 35 0:57 / /var/lib/left4me/runtime/Not.A.Name/merged rw - overlay left4me:x:1 rw
42 35 0:58 / /srv/with\040blank/runtime/tuesday/merged rw - overlay left4me:tuesday:1 rw
nonsense
`
	for runtime, want := range map[string][]string{
		"/var/lib/left4me/runtime": {"friday", "monday"}, "/srv/with blank/runtime": {"tuesday"}, "/nowhere": nil,
	} {
		if got := mountedBelow(table, runtime); !slices.Equal(got, want) {
			t.Errorf("below %s: %q, want %q", runtime, got, want)
		}
	}
}

func TestSteamLoginIsKeptAndForgotten(t *testing.T) {
	h := &Host{Root: t.TempDir(), Emit: func(ctl.Event) {}}
	if err := h.SteamLogin(steam.Login{User: "alice", Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(h.path("steam/login.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept as %v, %v", info, err)
	}
	for range 2 {
		if err := h.SteamLogout(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(h.path("steam/login.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
