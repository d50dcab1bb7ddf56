package steam

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

// feed runs a transcript through a parser in pieces of n bytes.
func feed(t *testing.T, text string, n int, platforms ...string) (*Parser, []ctl.Event) {
	t.Helper()
	var events []ctl.Event
	clock := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	p := &Parser{
		Emit:      func(e ctl.Event) { events = append(events, e) },
		Now:       func() time.Time { clock = clock.Add(time.Second); return clock },
		Platforms: platforms,
	}
	for chunk := range slices.Chunk([]byte(text), n) {
		if got, err := p.Write(chunk); got != len(chunk) || err != nil {
			t.Fatalf("Write took %d of %d bytes: %v", got, len(chunk), err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return p, events
}

func sample(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func phases(events []ctl.Event) []string {
	var keys []string
	for _, e := range events {
		if e.Type == ctl.EventPhase {
			keys = append(keys, e.Phase.Key)
		}
	}
	return keys
}

func TestParserFollowsBothPasses(t *testing.T) {
	want := []string{
		"selfupdate", "login",
		"windows.configure", "windows.verify", "windows.allocate", "windows.download", "windows.check", "windows.commit",
		"linux.verify", "linux.download",
	}
	for _, n := range []int{1, 7, 4096, 1 << 20} {
		p, events := feed(t, sample(t, "flip_tty.txt"), n, "windows", "linux")
		if got := phases(events); !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: phases\n%q, want\n%q", n, got, want)
		}
		if !p.Succeeded() {
			t.Errorf("in pieces of %d: no success", n)
		}
	}
}

func TestParserTellsProgress(t *testing.T) {
	_, events := feed(t, sample(t, "flip_tty.txt"), 100, "windows", "linux")
	var got []string
	for _, e := range events {
		if e.Type == ctl.EventProgress {
			p := e.Phase
			got = append(got, fmt.Sprintf("%s %.2f %d/%d", p.Key, p.Percent, p.Done, p.Total))
			if p.Key == "windows.download" && p.Percent > 12 && (p.Rate == 0 || p.Left == 0) {
				t.Errorf("a download that moves has no rate: %+v", p)
			}
		}
	}
	for _, want := range []string{
		"selfupdate 5.00 2941952/58856448", "windows.verify 3.11 301990000/9710287462",
		"windows.download 12.49 1213434880/9710287462", "windows.download 12.60 1223434880/9710287462",
		"windows.check 99.90 9700577174/9710287462", "linux.download 50.00 101381428/202762857",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no progress %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
}

func TestParserCutsGluedLines(t *testing.T) {
	_, events := feed(t, sample(t, "flip_tty.txt"), 64, "windows", "linux")
	var lines []string
	for _, e := range events {
		if e.Type == ctl.EventLog {
			lines = append(lines, e.Text)
			if strings.ContainsAny(e.Text, "\x1b\r\n") {
				t.Errorf("a control character is left in %q", e.Text)
			}
			if strings.Contains(e.Text, "progress:") {
				t.Errorf("progress is not a line of the log: %q", e.Text)
			}
		}
	}
	for _, want := range []string{
		"UpdateUI: skip show logo", "Steam Console Client (c) Valve Corporation - version 1782532820",
		"Loading Steam API...OK", "Unloading Steam API...OK", "tid(1107) burning pthread_key_t == 0 so we never use it",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

func TestParserReadsOldForms(t *testing.T) {
	p, events := feed(t, sample(t, "flip_old.txt"), 33, "windows", "linux")
	want := []string{"selfupdate", "login", "windows.verify", "windows.download", "linux.download"}
	if got := phases(events); !slices.Equal(got, want) {
		t.Errorf("phases %q, want %q", got, want)
	}
	if !p.Succeeded() {
		t.Error("no success, although both passes had their line")
	}
}

func TestParserSuccessIsTheLastPass(t *testing.T) {
	p, _ := feed(t, sample(t, "second_pass_fails.txt"), 50, "windows", "linux")
	if p.Succeeded() {
		t.Error("a failed second pass counts as success")
	}
	if p.failed == nil || p.failed.class != ClassDiskFull || p.Needed() != 202762857-50690714 {
		t.Errorf("failed %+v, %d bytes needed", p.failed, p.Needed())
	}
	p, _ = feed(t, "Success! App '222860' fully installed.\n", 50, "windows", "linux")
	if p.Succeeded() {
		t.Error("the first of two passes counts as success")
	}
	p, _ = feed(t, "Success! App '90' fully installed.\n", 50, "linux")
	if p.Succeeded() {
		t.Error("another app's success counts")
	}
	p, _ = feed(t, "ERROR! Failed to install app '222860' (Missing configuration)\nSuccess! App '222860' fully installed.\n", 50, "linux")
	if !p.Succeeded() {
		t.Error("an error before the success line counts")
	}
}

func TestParserBoundsALineWithoutEnd(t *testing.T) {
	_, events := feed(t, strings.Repeat("x", 3*maxPending), 1000, "linux")
	if len(events) < 3 {
		t.Errorf("%d events for %d bytes", len(events), 3*maxPending)
	}
	_, events = feed(t, "a\xffb\n", 1, "linux")
	if len(events) != 1 || events[0].Text != "a\uFFFDb" {
		t.Errorf("invalid UTF-8 gave %+v", events)
	}
}

func TestRules(t *testing.T) {
	tests := map[string]struct {
		class Class
		err   error
		retry bool
	}{
		"ERROR! Failed to install app '222860' (Invalid platform)":                        {ClassInvalidPlatform, ctl.ErrSteam, false},
		"ERROR! Failed to install app '222860' (Missing configuration)":                   {ClassMissingConfiguration, ctl.ErrSteamRetry, true},
		"ERROR! Failed to install app '222860' (No subscription)":                         {ClassLogin, ctl.ErrSteam, false},
		"ERROR! Failed to install app '222860' (Missing file permissions)":                {ClassPermissions, ctl.ErrSteam, false},
		"ERROR! Failed to install app '222860' (Something new)":                           {ClassOther, ctl.ErrSteam, false},
		"ERROR! Timed out waiting for AppInfo update.":                                    {ClassNetwork, ctl.ErrSteamRetry, true},
		"ERROR! AppInfo request for AppId 222860 returned error 16.":                      {ClassNetwork, ctl.ErrSteamRetry, true},
		"ERROR! Failed to request AppInfo update, not online or not logged in to Steam.":  {ClassNetwork, ctl.ErrSteamRetry, true},
		"Logging in user 'x' to Steam Public...FAILED (Rate Limit Exceeded)":              {ClassRateLimit, ctl.ErrSteam, false},
		"FAILED login with result code Rate Limit Exceeded":                               {ClassRateLimit, ctl.ErrSteam, false},
		"ERROR! Failed to install app '222860' (Password check for AppId 222860 failed)":  {ClassLogin, ctl.ErrSteam, false},
		"ERROR! Failed to install app '222860' (Not enough disk space)":                   {ClassDiskFull, ctl.ErrDiskFull, false},
		"ERROR! Failed to install app '222860' (Disk write failure)":                      {ClassPermissions, ctl.ErrSteam, false},
		"ERROR! Failed to install app '222860' (Connection timeout)":                      {ClassNetwork, ctl.ErrSteamRetry, true},
		"ERROR! Failed to install app '222860' (Corrupt update files)":                    {ClassBroken, ctl.ErrSteamRetry, true},
		"Error! App '222860' state is 0x206 after update job.":                            {ClassNetwork, ctl.ErrSteamRetry, true},
		"Error! App '222860' state is 0x406 after update job.":                            {ClassNetwork, ctl.ErrSteamRetry, true},
		"Logging in user 'x' [U:1:0] to Steam Public...ERROR (Rate Limit Exceeded)":       {ClassRateLimit, ctl.ErrSteam, false},
		"Logging in user 'x' [U:1:0] to Steam Public...ERROR (Timeout)":                   {ClassNetwork, ctl.ErrSteamRetry, true},
		"Logging in user 'x' to Steam Public...FAILED (Account Logon Denied)":             {ClassLogin, ctl.ErrSteam, false},
		"Login Failure: Account Disabled":                                                 {ClassLogin, ctl.ErrSteam, false},
		"Steam Guard code:":                                                               {ClassLogin, ctl.ErrSteam, false},
		"[----] !!! Fatal Error: Steamcmd needs to be online to update. Please confirm":   {ClassNetwork, ctl.ErrSteamRetry, true},
		"Login Failure: Invalid Password":                                                 {ClassLogin, ctl.ErrSteam, false},
		"Two-factor code mismatch":                                                        {ClassLogin, ctl.ErrSteam, false},
		"Waiting for user info...FAILED (Timed out)":                                      {ClassNetwork, ctl.ErrSteamRetry, true},
		"Connecting anonymously to Steam Public...FAILED (No Connection)":                 {ClassNetwork, ctl.ErrSteamRetry, true},
		"Error! App '222860' state is 0x202 after update job.":                            {ClassDiskFull, ctl.ErrDiskFull, false},
		"Error! App '222860' state is 0x212 after update job.":                            {ClassDiskFull, ctl.ErrDiskFull, false},
		"Error! App '222860' state is 0x402 after update job.":                            {ClassNetwork, ctl.ErrSteamRetry, true},
		"Error! App '222860' state is 0x602 after update job.":                            {ClassNetwork, ctl.ErrSteamRetry, true},
		"Error! App '222860' state is 0x606 after update job.":                            {ClassPermissions, ctl.ErrSteam, false},
		"Error! App '222860' state is 0x626 after update job.":                            {ClassBroken, ctl.ErrSteamRetry, true},
		"Error! App '222860' state is 0x6A6 after update job.":                            {ClassBroken, ctl.ErrSteamRetry, true},
		"Error! App '222860' state is 0x6 after update job.":                              {ClassNetwork, ctl.ErrSteamRetry, true},
		"Error! App '222860' state is 0xE after update job.":                              {ClassNetwork, ctl.ErrSteamRetry, true},
		"Error! App '222860' state is 0x10000 after update job.":                          {ClassOther, ctl.ErrSteam, false},
		"[2026-09-01] Download failed: http error 0 (client-download.steampowered.com/x)": {ClassNetwork, ctl.ErrSteamRetry, true},
	}
	for text, want := range tests {
		r, ok := match(text)
		if !ok || r.class != want.class || !errors.Is(r.err, want.err) || r.retry != want.retry {
			t.Errorf("%q is %v %q %v retry %v, want %+v", text, ok, r.class, r.err, r.retry, want)
		}
		if ok && !strings.HasSuffix(r.sentence, ".") {
			t.Errorf("%q has no sentence: %q", text, r.sentence)
		}
	}
	for _, text := range []string{
		"Success! App '222860' fully installed.", "ERROR! Failed to install app '90' (Invalid platform)", "Waiting for user info...OK",
		"ILocalize::AddFile() failed to load file \"public/steambootstrapper_english.txt\".", "[S_API FAIL] SteamAPI_Init() failed",
		"WARNING: setlocale('en_US.UTF-8') failed, using locale: 'C'.",
	} {
		if r, ok := match(text); ok {
			t.Errorf("%q is taken for %q", text, r.sentence)
		}
	}
}

func FuzzParser(f *testing.F) {
	for _, name := range []string{"flip_tty.txt", "flip_old.txt", "second_pass_fails.txt"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		clock := time.Unix(0, 0)
		now := func() time.Time { clock = clock.Add(time.Second); return clock }
		p := &Parser{Now: now, Platforms: []string{"windows", "linux"}, Emit: func(e ctl.Event) {
			if e.Phase != nil && (e.Phase.Percent < 0 || e.Phase.Percent > 100 || e.Phase.Rate < 0 || e.Phase.Left < 0) {
				t.Errorf("%q gave %+v", text, e.Phase)
			}
		}}
		_, _ = p.Write([]byte(text)) // never fails
		_ = p.Close()
	})
}

// One item hung while all others had come, and its page said "about 17 h left".
func TestMeterPromisesNothingWhileNothingComes(t *testing.T) {
	var m Meter
	at := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	m.Measure(at, 0, 20e6)
	if rate, left := m.Measure(at.Add(time.Second), 6e6, 20e6); rate != 6e6 || left != 3 {
		t.Fatalf("6 MB in a second: %d bytes a second, %d seconds left", rate, left)
	}
	for s := 2; s < 60; s++ {
		if rate, left := m.Measure(at.Add(time.Duration(s)*time.Second), 6e6, 20e6); s > 6 && left != 0 {
			t.Fatalf("after %d seconds without a byte: %d bytes a second, %d seconds left; want none said", s-1, rate, left)
		}
	}
	if _, left := m.Measure(at.Add(time.Minute), 12e6, 20e6); left == 0 {
		t.Error("it goes on, and no time left is said")
	}
}
