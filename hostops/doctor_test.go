package hostops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// healthy is a host of which nothing is missing, and what looks at it.
func healthy(t *testing.T) (*Host, *fakeSupervisor, Examination) {
	t.Helper()
	h, fake, _ := newHost(t)
	files := t.TempDir()
	for name, text := range map[string]string{
		"proc/filesystems":                  "nodev\tsysfs\nnodev\toverlay\n\text4\n",
		"lib/ld-linux.so.2":                 "#!/bin/sh\n",
		"usr/lib32/libgcc_s.so.1":           "\x7fELF\x01 and more",
		"usr/lib32/libstdc++.so.6":          "\x7fELF\x01 and more",
		"run/systemd/timesync/synchronized": "",
	} {
		writeFile(t, filepath.Join(files, name), text)
	}
	h.Steamcmd = h.path("steam/steamcmd.sh")
	writeFile(t, h.Steamcmd, "#!/bin/sh\n")
	for _, path := range []string{h.Steamcmd, filepath.Join(files, "lib/ld-linux.so.2")} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return h, fake, Examination{Files: files, Trial: func(context.Context, string) error { return nil }, Root: &RootView{Idmap: "ok"}}
}

// check is the one of a report with that key.
func check(t *testing.T, h *Host, e Examination, key string) ctl.Check {
	t.Helper()
	d, err := h.Doctor(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(d.Checks, func(c ctl.Check) bool { return c.Key == key })
	if i < 0 {
		t.Fatalf("no check %s in %+v", key, d.Checks)
	}
	return d.Checks[i]
}

func TestDoctorOfAHealthyHost(t *testing.T) {
	h, _, e := healthy(t)
	d, err := h.Doctor(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, c := range d.Checks {
		keys = append(keys, c.Key)
		hostsOwn := c.Key == "kernel" || c.Key == "builds" || c.Key == "space" || c.Key == "ports" // as this machine is
		if c.Level != ctl.LevelOK && !hostsOwn {
			t.Errorf("%+v", c)
		}
		if c.Title == "" || c.Text == "" || strings.HasSuffix(c.Text, ".") {
			t.Errorf("%+v is no clause", c)
		}
	}
	want := []string{"kernel", "root", "overlayfs", "namespaces", "builds", "idmap", "systemd", "users", "lib32", "steamcmd", "game", "space", "ports", "clock", "tmp"}
	if !slices.Equal(keys, want) {
		t.Errorf("checks %q, want %q", keys, want)
	}
}

func TestDoctorFindsWhatIsMissing(t *testing.T) {
	remove := func(t *testing.T, path string) {
		t.Helper()
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		key   string
		spoil func(t *testing.T, h *Host, e *Examination)
		level ctl.Level
		text  string
		fix   string
	}{
		"overlayfs": {"overlayfs", func(t *testing.T, _ *Host, e *Examination) {
			writeFile(t, filepath.Join(e.Files, "proc/filesystems"), "\text4\nnodev\tnotoverlay\n")
		}, ctl.LevelProblem, "has not loaded overlayfs", "modprobe overlay"},
		"namespaces": {"namespaces", func(_ *testing.T, _ *Host, e *Examination) {
			e.Trial = func(context.Context, string) error {
				return errors.New("servers cannot run without root here: user namespaces are switched off; as root run: sysctl -w a=1")
			}
		}, ctl.LevelProblem, "user namespaces are switched off", "sysctl -w a=1"},
		"idmap":          {"idmap", func(_ *testing.T, _ *Host, e *Examination) { e.Root.Idmap = "map owners: invalid argument" }, ctl.LevelOK, "takes no idmapped mounts (map owners: invalid argument)", ""},
		"idmap, systemd": {"idmap", func(_ *testing.T, _ *Host, e *Examination) { e.Root.Idmap, e.Systemd = "x", true }, ctl.LevelWarning, "takes no idmapped mounts", ""},
		"the loader":     {"lib32", func(t *testing.T, _ *Host, e *Examination) { remove(t, filepath.Join(e.Files, loader)) }, ctl.LevelProblem, "are missing", "lib32stdc++6"},
		"a library": {"lib32", func(t *testing.T, _ *Host, e *Examination) {
			writeFile(t, filepath.Join(e.Files, "usr/lib32/libgcc_s.so.1"), "\x7fELF\x02 is 64-bit")
		}, ctl.LevelProblem, "of libgcc_s.so.1 are missing", "lib32gcc-s1"},
		// A demo was told that its servers cannot run, which they did.
		"a 64-bit steamcmd": {"lib32", func(t *testing.T, h *Host, e *Examination) {
			remove(t, filepath.Join(e.Files, loader))
			writeFile(t, h.Steamcmd, "\x7fELF\x02")
		}, ctl.LevelWarning, "the game that Steam delivers cannot", "lib32stdc++6"},
		"a 64-bit game": {"lib32", func(t *testing.T, h *Host, e *Examination) {
			remove(t, filepath.Join(e.Files, loader))
			writeFile(t, h.path(dirInstallation, "srcds_linux"), "\x7fELF\x02")
		}, ctl.LevelOK, "are not needed", ""},
		"no 32-bit programs": {"lib32", func(t *testing.T, _ *Host, e *Examination) {
			writeFile(t, filepath.Join(e.Files, loader), "#!/bin/sh\nexit 159\n")
		}, ctl.LevelProblem, "no 32-bit program can be run here (exit status 159)", ""},
		"steamcmd":        {"steamcmd", func(t *testing.T, h *Host, _ *Examination) { remove(t, h.Steamcmd) }, ctl.LevelProblem, "is not at", "tar -xz -C"},
		"steamcmd's mode": {"steamcmd", func(t *testing.T, h *Host, _ *Examination) { _ = os.Chmod(h.Steamcmd, 0o644) }, ctl.LevelProblem, "is no program", "curl"},
		"the game":        {"game", func(t *testing.T, h *Host, _ *Examination) { remove(t, h.path(dirInstallation)) }, ctl.LevelWarning, "not installed yet", "l4d2ctl install"},
		"no state root":   {"root", func(t *testing.T, h *Host, _ *Examination) { h.Root = filepath.Join(h.Root, "gone") }, ctl.LevelOK, "the first command makes it", ""},
		"hidden from us": {"root", func(t *testing.T, h *Host, e *Examination) {
			h.Root = h.Steamcmd + "/x"
			e.Root.Missing = []string{h.Root}
		}, ctl.LevelOK, "the first command makes it", ""},
		"a file as root":   {"root", func(t *testing.T, h *Host, _ *Examination) { h.Root = h.Steamcmd }, ctl.LevelProblem, "is not a folder", ""},
		"units, no polkit": {"polkit", func(t *testing.T, _ *Host, e *Examination) { units(t, e) }, ctl.LevelProblem, "is not installed", "apt-get install polkitd"},
		"units, no rule": {"polkit", func(t *testing.T, _ *Host, e *Examination) {
			units(t, e)
			writeFile(t, filepath.Join(e.Files, "usr/lib/polkit-1/polkitd"), "")
		}, ctl.LevelProblem, "has no rule", "make install"},
		"units and rule": {"polkit", func(t *testing.T, _ *Host, e *Examination) {
			units(t, e)
			writeFile(t, filepath.Join(e.Files, "usr/lib/polkit-1/polkitd"), "")
			writeFile(t, filepath.Join(e.Files, polkitRules), "")
		}, ctl.LevelOK, "has left4me's rule", ""},
		"no temporary folder": {"tmp", func(t *testing.T, _ *Host, _ *Examination) { t.Setenv("TMPDIR", "/nowhere") }, ctl.LevelProblem, "cannot be made in /nowhere", "chmod 1777 /nowhere"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, _, e := healthy(t)
			tt.spoil(t, h, &e)
			c := check(t, h, e, tt.key)
			if c.Level != tt.level || !strings.Contains(c.Text, tt.text) || !strings.Contains(c.Fix, tt.fix) || (tt.fix == "") != (c.Fix == "") {
				t.Errorf("got %+v\nwant %s with %q, mended by %q", c, tt.level, tt.text, tt.fix)
			}
		})
	}
}

// units makes a host on which systemd runs and has our units.
func units(t *testing.T, e *Examination) {
	t.Helper()
	writeFile(t, filepath.Join(e.Files, "run/systemd/system/x"), "")
	writeFile(t, filepath.Join(e.Files, "usr/local/lib/systemd/system", serverUnit), "")
}

func TestDoctorJudges(t *testing.T) {
	const gb = 1_000_000_000
	at := func(year int) time.Time { return time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC) }
	tests := map[string]struct {
		got  []ctl.Check
		want ctl.Level
	}{
		"Debian 13":           {judgeKernel("6.12.43+deb13-amd64", "x86_64"), ctl.LevelOK},
		"Debian 12":           {judgeKernel("6.1.0-38-amd64", "x86_64"), ctl.LevelOK},
		"Debian 11":           {judgeKernel("5.10.0-1-amd64", "x86_64"), ctl.LevelProblem},
		"in between":          {judgeKernel("5.15.0", "x86_64"), ctl.LevelWarning},
		"a Raspberry":         {judgeKernel("6.12.0", "aarch64"), ctl.LevelProblem},
		"odd":                 {judgeKernel("unknown", "x86_64"), ctl.LevelWarning},
		"too small":           {judgeSpace("/", 9*gb, false), ctl.LevelProblem},
		"tight":               {judgeSpace("/", 14*gb, false), ctl.LevelWarning},
		"enough":              {judgeSpace("/", 15*gb, false), ctl.LevelOK},
		"installed":           {judgeSpace("/", 3*gb, true), ctl.LevelOK},
		"installed and tight": {judgeSpace("/", 1*gb, true), ctl.LevelWarning},
		"no battery":          {judgeClock(at(1970), true), ctl.LevelProblem},
		"far future":          {judgeClock(at(2106), true), ctl.LevelProblem},
		"on its own":          {judgeClock(at(2027), false), ctl.LevelWarning},
		"on time":             {judgeClock(at(2027), true), ctl.LevelOK},
	}
	for name, tt := range tests {
		if len(tt.got) != 1 || tt.got[0].Level != tt.want {
			t.Errorf("%s: got %+v, want %s", name, tt.got, tt.want)
		}
		if c := tt.got[0]; name != "odd" && name != "a Raspberry" && (c.Level == ctl.LevelOK) != (c.Fix == "") {
			t.Errorf("%s: a command mends %q: %q", name, c.Text, c.Fix)
		}
	}
}

func TestDoctorNamesWhoHasAPort(t *testing.T) {
	h, fake, e := healthy(t)
	e.Files = "/" // for /proc
	var held net.Listener
	port := 0
	for port = firstPort; port <= lastPort && held == nil; port++ {
		held, _ = net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port)) // the next one then
	}
	if held == nil {
		t.Fatal("all ports are taken")
	}
	defer held.Close() // nothing was sent
	port--
	c := check(t, h, e, "ports")
	if c.Level != ctl.LevelWarning || !strings.Contains(c.Text, fmt.Sprintf("%d by the program ", port)) {
		t.Errorf("got %+v", c)
	}
	initialise(t, h, "friday", port)
	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning, Applied: &ctl.Applied{Argv: []string{"srcds_linux", "-port", fmt.Sprint(port)}}})
	if c := check(t, h, e, "ports"); !strings.Contains(c.Text, fmt.Sprintf("%d by server friday", port)) {
		t.Errorf("got %+v", c)
	}
}

func TestCancelledDoctor(t *testing.T) {
	h, _, e := healthy(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Doctor(ctx, e); !errors.Is(err, ctl.ErrCancelled) {
		t.Errorf("got %v", err)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"/srv/a-b_c.d": "/srv/a-b_c.d", "/a b": "'/a b'", "it's": `'it'\''s'`, "$(id)": "'$(id)'", "": "''"} {
		if got := quote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
