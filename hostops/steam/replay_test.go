package steam

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

func TestReplay(t *testing.T) {
	tests := map[string]struct {
		code   int
		retry  bool
		want   string // of the sentence
		phases string // a few of those that must be there
	}{
		"flip_first_run":         {0, false, "", "selfupdate login windows.allocate windows.download windows.commit linux.verify linux.download linux.commit"},
		"missing_configuration":  {8, true, "did not have the game's description at hand yet", "selfupdate login"},
		"crash_after_success":    {0, false, "", "login linux.download linux.commit"},
		"guard_code":             {76, false, "asks for a Steam Guard code", "login"},
		"rate_limit_old":         {5, false, "rate limit", "login"},
		"invalid_password_new":   {5, false, "did not accept the name or the password", "login"},
		"disk_full_exit_unknown": {73, false, "about 5.8 GB more are needed", "login"},
		"windows_only":           {76, false, "ended without installing the game", "login"},
		"silent_bootstrap":       {1, false, "ended with exit code 1 and did not say why; its logs may", ""},
	}
	files, err := filepath.Glob("testdata/replay/*.txt")
	if err != nil || len(files) != len(tests) {
		t.Fatalf("%d recordings for %d tests (%v)", len(files), len(tests), err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open("testdata/replay/" + name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close() // read only
			var events []ctl.Event
			err = Replay(f, func(e ctl.Event) { events = append(events, e) })
			var failed *Failure
			if ctl.ExitCode(err) != tt.code || (err != nil && (!errors.As(err, &failed) || failed.Retry() != tt.retry || !strings.Contains(err.Error(), tt.want))) {
				t.Errorf("code %d, %v; want %d, retry %v, %q", ctl.ExitCode(err), err, tt.code, tt.retry, tt.want)
			}
			got := phases(events)
			for _, key := range strings.Fields(tt.phases) {
				if !slices.Contains(got, key) {
					t.Errorf("no phase %s in %q", key, got)
				}
			}
		})
	}
}

func TestReplayOfAnInstallSaysTheSame(t *testing.T) {
	body := "echo 'Connecting anonymously to Steam Public...OK'\necho \"Error! App '222860' state is 0x406 after update job.\"\nexit 8"
	b := newBench(t, body)
	_, lived := Install(t.Context(), b.Options)
	f, err := os.Open(filepath.Join(b.Home, lastInstall))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() // read only
	var events []ctl.Event
	replayed := Replay(f, func(e ctl.Event) { events = append(events, e) })
	if lived == nil || replayed == nil || lived.Error() != replayed.Error() || ctl.ExitCode(lived) != ctl.ExitCode(replayed) {
		t.Errorf("lived %v, replayed %v", lived, replayed)
	}
	if got, want := len(events), len(b.lines(ctl.StreamOut))+1; got != want { // and the phase of the login
		t.Errorf("%d events, want %d", got, want)
	}
}
