package steam

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

func (b *bench) remembers(t *testing.T, m memory) {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(b.Home, memoryFile), string(data))
}

func TestTheMethodThatWorkedIsTriedFirst(t *testing.T) {
	const done, half = "\"AppState\"\n{\n\"StateFlags\" \"4\"\n\"buildid\" \"7\"\n}\n", stubManifest
	tests := map[string]struct {
		worked   Method
		manifest string
		login    bool
		want     []Method
	}{
		"a new host":                 {"", "", false, []Method{MethodSeed, MethodFlip}},
		"a new host, an account":     {"", "", true, []Method{MethodSeed, MethodFlip, MethodLogin}},
		"the flip worked":            {MethodFlip, half, false, []Method{MethodFlip, MethodSeed}},
		"the flip worked, installed": {MethodFlip, done, true, []Method{MethodUpdate, MethodFlip, MethodLogin}},
		"the account worked":         {MethodLogin, "", true, []Method{MethodLogin, MethodSeed, MethodFlip}},
		"and is installed":           {MethodLogin, done, true, []Method{MethodLogin, MethodUpdate, MethodFlip}},
		"and was forgotten":          {MethodLogin, "", false, []Method{MethodSeed, MethodFlip}},
		"nonsense":                   {"magic", "", false, []Method{MethodSeed, MethodFlip}},
	}
	for name, tt := range tests {
		b := newBench(t, "")
		b.Method = MethodAuto
		b.remembers(t, memory{Method: tt.worked})
		if tt.manifest != "" {
			write(t, manifestPath(b.Dir), tt.manifest)
		}
		if tt.login {
			b.login = &Login{"alice", "x"}
		}
		if got := b.methods(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestInstallRemembers(t *testing.T) {
	// Only the flip works here.
	b := newBench(t, "echo run >> $HOME/runs\ncase \"$*\" in *windows*) ;; *) echo \"ERROR! Failed to install app '222860' (Invalid platform)\"; exit 8 ;; esac\n"+
		"echo \"Success! App '222860' fully installed.\"\n"+installs)
	if _, err := Install(t.Context(), b.Options); err != nil {
		t.Fatal(err)
	}
	if m := recall(b.Home); m.Method != MethodFlip || m.Latest != "7" || Recall(b.Home).Latest != "7" {
		t.Errorf("remembered %+v", m)
	}
	if err := os.RemoveAll(b.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(t.Context(), b.Options); err != nil {
		t.Fatal(err)
	}
	runs, err := os.ReadFile(filepath.Join(b.Home, "runs"))
	if got := strings.Count(string(runs), "run"); err != nil || got != 3 { // seed and flip, then the flip at once
		t.Errorf("%d runs, want 3 (%v)", got, err)
	}
}

func TestARateLimitIsNotRenewed(t *testing.T) {
	b := newBench(t, "echo run >> $HOME/runs\necho 'Connecting anonymously to Steam Public...FAILED (Rate Limit Exceeded)'\nexit 5")
	runs := func() int {
		data, _ := os.ReadFile(filepath.Join(b.Home, "runs")) // none yet is none
		return strings.Count(string(data), "run")
	}
	before := time.Now()
	_, err := Install(t.Context(), b.Options)
	want := fmt.Sprintf("Try again after %s.", clock(recall(b.Home).Limited.Add(limitLasts)))
	if ctl.ExitCode(err) != 5 || !strings.Contains(err.Error(), want) || runs() != 1 {
		t.Errorf("code %d after %d runs: %v, want %q", ctl.ExitCode(err), runs(), err, want)
	}
	if at := recall(b.Home).Limited; at.Before(before.Add(-2*time.Second)) || at.After(time.Now()) {
		t.Errorf("remembered %s, it happened at %s", at, before)
	}
	for name, tt := range map[string]struct {
		ago  time.Duration
		runs int
	}{
		"at once": {0, 0}, "29 minutes later": {29 * time.Minute, 0}, "31 minutes later": {31 * time.Minute, 1}, "a clock that was set back": {-5 * time.Minute, 1},
	} {
		start := runs()
		b.remembers(t, memory{Limited: time.Now().Add(-tt.ago).UTC()})
		_, err := Install(t.Context(), b.Options)
		if got := runs() - start; got != tt.runs {
			t.Errorf("%s: %d runs, want %d", name, got, tt.runs)
		}
		if tt.runs == 0 && (ctl.ExitCode(err) != 76 || !strings.Contains(err.Error(), "nothing was tried. Try again after ")) {
			t.Errorf("%s: code %d: %v", name, ctl.ExitCode(err), err)
		}
		if tt.runs == 0 {
			if _, err := LatestBuild(t.Context(), b.Options); ctl.ExitCode(err) != 76 || runs() != start {
				t.Errorf("%s: asking for the build ran steamcmd (%v)", name, err)
			}
		}
	}
}

func TestDamagedFilesAreCheckedOnce(t *testing.T) {
	for _, state := range []string{"0x626", "0x6A6"} {
		for name, mends := range map[string]bool{"mended": true, "not mended": false} {
			t.Run(state+" "+name, func(t *testing.T) {
				good := ""
				if mends {
					good = "if [ $(wc -l < $HOME/args) -gt 1 ]; then echo \"Success! App '222860' fully installed.\"\n" + installs + "exit 0; fi\n"
				}
				b := newBench(t, "echo \"$@\" >> $HOME/args\n"+good+"echo \"Error! App '222860' state is "+state+" after update job.\"; exit 8")
				b.Method = MethodFlip
				_, err := Install(t.Context(), b.Options)
				args, readErr := os.ReadFile(filepath.Join(b.Home, "args"))
				lines := strings.Split(strings.TrimSpace(string(args)), "\n")
				if readErr != nil || len(lines) != 2 || strings.Count(lines[0], "validate") != 1 || strings.Count(lines[1], "validate") != 2 {
					t.Errorf("called with %q (%v)", lines, readErr)
				}
				if mends != (err == nil) || (!mends && !strings.Contains(err.Error(), "again after all were checked")) {
					t.Error(err)
				}
			})
		}
	}
}
