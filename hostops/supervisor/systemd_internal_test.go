package supervisor

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"left4me/hostops/ctl"
)

func TestMountList(t *testing.T) {
	tests := map[string]struct {
		layers []string
		want   string
		bad    string
	}{
		"only the game":        {[]string{"installation"}, "", ""},
		"all kinds":            {[]string{"instances/x/layers/0123456789ab", "overlays/12/v3", "overlays/4/v17", "installation"}, "@0123456789ab\n12/v3\n4/v17\n", ""},
		"another's layer":      {[]string{"instances/y/layers/0123456789ab", "installation"}, "", "cannot be a layer"},
		"a path in a layer":    {[]string{"overlays/12/v3/sub", "installation"}, "", "cannot be a layer"},
		"a name, not a number": {[]string{"overlays/a/v3", "installation"}, "", "cannot be a layer"},
		"a line break":         {[]string{"overlays/12/v3\n13/v1", "installation"}, "", "cannot be a layer"},
		"the game not lowest":  {[]string{"installation", "overlays/12/v3"}, "", "cannot be a layer"},
		"no game":              {[]string{"overlays/12/v3"}, "", "lowest layer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := mountList(Launch{Name: "x", Layers: tt.layers})
			if tt.bad != "" {
				if !errors.Is(err, ctl.ErrBadSpec) || !strings.Contains(err.Error(), tt.bad) {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// The forms that journalctl -o json --all gives a message in: see journalctl(1).
func TestJournalEntry(t *testing.T) {
	tests := map[string]string{
		`{"MESSAGE":"text","__REALTIME_TIMESTAMP":"1700000000000001","__CURSOR":"s=1;i=2"}`:              "text",
		`{"MESSAGE":[27,91,109,255,120],"__REALTIME_TIMESTAMP":"1700000000000001","__CURSOR":"s=1;i=2"}`: "\x1b[m\xffx",
		`{"MESSAGE":null,"__REALTIME_TIMESTAMP":"1700000000000001","__CURSOR":"s=1;i=2"}`:                "",
		`{"MESSAGE":["a","b"],"__REALTIME_TIMESTAMP":"1700000000000001","__CURSOR":"s=1;i=2"}`:           "",
	}
	for line, want := range tests {
		var e journalEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if e.text != want || e.cursor != "s=1;i=2" || e.at != time.UnixMicro(1700000000000001).UTC() {
			t.Errorf("%s: %+v", line, e)
		}
	}
	if err := json.Unmarshal([]byte(`{"MESSAGE":"x"}`), new(journalEntry)); err == nil {
		t.Error("an entry without a time is understood")
	}
}

func TestCursorForm(t *testing.T) {
	for cursor, want := range map[string]bool{
		"s=fbc4148eff91494589a74706a8be4f68;i=f61;b=dc69cd76e95f4526a7103b84aeed5ff2;m=15aee16ab;t=660d2729eec21;x=b3a1a57e18361852": true,
		"7": false, "x": false, "--since=now": false, "s=1": false, "s=1;i=2 --x": false,
	} {
		if cursorForm.MatchString(cursor) != want {
			t.Errorf("%q: want %v", cursor, want)
		}
	}
}

// unit is a unit's properties as they come over D-Bus.
func unit(change map[string]any) unitState {
	props := map[string]dbus.Variant{}
	base := map[string]any{
		"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead", "Result": "success", "Restart": "on-failure",
		"MemoryCurrent": ^uint64(0), "StartLimitBurst": uint32(4), "StartLimitIntervalUSec": uint64(300e6), "RestartUSec": uint64(2e6),
		"NRestarts": uint32(0), "StateChangeTimestamp": uint64(1700000000000000),
	}
	for k, v := range base {
		props[k] = dbus.MakeVariant(v)
	}
	for k, v := range change {
		props[k] = dbus.MakeVariant(v)
	}
	return newUnitState(props)
}

func ran() unitRecord {
	return unitRecord{record: record{State: ctl.ServerRunning, Applied: &ctl.Applied{Spec: "abc"}}}
}

func TestInstanceFromUnit(t *testing.T) {
	killed := map[string]any{"ExecMainCode": int32(1), "ExecMainStatus": int32(139), "ExecMainExitTimestamp": uint64(1700000000000000)}
	with := func(more map[string]any) map[string]any {
		all := map[string]any{}
		for k, v := range killed {
			all[k] = v
		}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	tests := map[string]struct {
		unit     map[string]any
		state    ctl.ServerState
		restarts int
		message  string
	}{
		"starting": {map[string]any{"ActiveState": "activating", "SubState": "start"}, ctl.ServerStarting, 0, ""},
		"running":  {map[string]any{"ActiveState": "active", "SubState": "running", "NRestarts": uint32(2)}, ctl.ServerRunning, 2, ""},
		"stopping": {map[string]any{"ActiveState": "deactivating", "SubState": "stop-sigterm"}, ctl.ServerStopping, 0, ""},
		"between two runs": {
			with(map[string]any{"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": uint32(1)}),
			ctl.ServerStarting, 2, "The game ended with signal SIGSEGV; it is started again in 2s.",
		},
		"given up": {
			with(map[string]any{"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "NRestarts": uint32(4)}),
			ctl.ServerFailed, 3, "started 4 times within 5 minutes and ended each time, lastly with signal SIGSEGV",
		},
		"given up after a long life": {
			with(map[string]any{"ActiveState": "failed", "Result": "exit-code", "NRestarts": uint32(40)}),
			ctl.ServerFailed, 3, "started 4 times within 5 minutes",
		},
		"never restarted": {
			with(map[string]any{"ActiveState": "failed", "Result": "exit-code", "Restart": "no"}),
			ctl.ServerFailed, 0, "ended with signal SIGSEGV and is not started again",
		},
		"out of memory": {
			with(map[string]any{"ActiveState": "failed", "Result": "oom-kill", "NRestarts": uint32(4)}),
			ctl.ServerFailed, 3, "used more memory than it may",
		},
		"too slow": {map[string]any{"ActiveState": "failed", "Result": "timeout"}, ctl.ServerFailed, 0, "in time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i, ok := unit(tt.unit).instance(ran())
			if !ok || i.State != tt.state || i.Restarts != tt.restarts || !strings.Contains(i.Message, tt.message) || i.Applied == nil {
				t.Errorf("%+v, %v", i, ok)
			}
		})
	}
}

// A unit that is at rest says nothing; the record does, unless it is of another
// boot.
func TestInstanceFromRecord(t *testing.T) {
	s := &Systemd{Root: t.TempDir()}
	failed := map[string]any{"ActiveState": "failed", "Result": "exit-code"}
	if _, ok := unit(failed).instance(unitRecord{record: record{State: ctl.ServerStopped}}); ok {
		t.Error("a server that was stopped is said to have failed")
	}
	if _, ok := unit(nil).instance(ran()); ok {
		t.Error("an inactive unit is said to be something")
	}
	if i := s.atRest(t.Context(), "x", unitRecord{}); i.State != ctl.ServerStopped {
		t.Errorf("never started: %+v", i)
	}
	r := ran()
	r.BootID = "another"
	if i := s.atRest(t.Context(), "x", r); i.State != ctl.ServerFailed || !strings.Contains(i.Message, "machine was restarted") || !i.Lost {
		t.Errorf("after a reboot: %+v", i)
	}
	for boot, lost := range map[string]bool{"another": true, bootID(): false} {
		r := unitRecord{record: record{State: ctl.ServerFailed, BootID: boot}}
		if i := s.atRest(t.Context(), "x", r); i.State != ctl.ServerFailed || i.Lost != lost {
			t.Errorf("a start that failed in boot %s: %+v, want lost %v", boot, i, lost)
		}
	}
	r = unitRecord{record: record{State: ctl.ServerStarting, Since: time.Now(), BootID: bootID()}}
	if i := s.atRest(t.Context(), "x", r); i.State != ctl.ServerStarting {
		t.Errorf("in the middle of a start: %+v", i)
	}
}

// The property ExecStartPre as systemd 257 gives it.
func TestFailedCommand(t *testing.T) {
	line := func(code, status int32) []any {
		return []any{
			"/opt/left4me/bin/left4me-overlay",
			[]string{"left4me-overlay", "mount", "x"},
			false,
			uint64(1), uint64(1), uint64(1), uint64(1), uint32(7), code, status,
		}
	}
	for name, tt := range map[string]struct {
		v    any
		want *ctl.Exit
	}{
		"none":         {nil, nil},
		"not run yet":  {[][]any{line(0, 0)}, nil},
		"fine":         {[][]any{line(1, 0)}, nil},
		"refused":      {[][]any{line(1, 0), line(1, 3)}, &ctl.Exit{Code: 3}},
		"killed":       {[][]any{line(2, 9)}, &ctl.Exit{Code: 137, Signal: "SIGKILL"}},
		"another form": {[]string{"x"}, nil},
	} {
		got := failedCommand(tt.v)
		if (got == nil) != (tt.want == nil) || got != nil && (got.Code != tt.want.Code || got.Signal != tt.want.Signal) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
