//go:build system

package systemtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
	"left4me/hostops/supervisor/suitetest"
)

const refusal = "Interactive authentication required"

// The polkit rule gives left4me its own templates and nothing else.
func TestPolkitRule(t *testing.T) {
	for _, verb := range [][]string{
		{"stop", "redis-server.service"},
		{"start", "systemd-journal-flush.service"},
		{"restart", "left4me-server@x.service"},
		{"kill", "left4me-server@x.service"},
		{"set-property", "left4me-server@x.service", "MemoryMax=1T"},
		{"enable", "left4me-server@x.service"},
		{"edit", "--stdin", "left4me-server@x.service"},
		{"daemon-reload"},
		{"start", "left4me-web.service"},
		{"restart", "left4me-build@1.service"},
		{"kill", "left4me-build@1.service"},
		{"stop", "left4me-worker.service"},
		{"start", "left4me-server@..service"},
		{"start", "left4me-server@-x.service"},
		{"start", "left4me-server@X.service"},
		{"start", "left4me-server@x.timer"},
		{"start", "left4me-server@x.service.service"},
		{"start", "xleft4me-server@x.service"},
		{"poweroff"},
		{"isolate", "rescue.target"},
	} {
		out, err := try(asLeft4me(append([]string{"systemctl", "--no-ask-password"}, verb...)...)...)
		if err == nil || !regexp.MustCompile(refusal+`|Access denied|Permission denied|Unit .* not found|not loaded`).MatchString(out) {
			t.Errorf("systemctl %s as left4me: %v: %s", strings.Join(verb, " "), err, out)
		}
	}
	if out, err := try(asLeft4me("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
		"StartTransientUnit", "ssa(sv)a(sa(sv))", "left4me-build@x.service", "fail", "0", "0")...); err == nil {
		t.Errorf("a transient unit was made: %s", out)
	}
}

// Another user is told what is missing.
func TestStrangerMayNotStart(t *testing.T) {
	if os.Getenv(envUser) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("setpriv", "--no-new-privs", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups",
			"env", envUser+"=1", self, "-test.v", "-test.run", "^"+t.Name()+"$").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("as nobody: %v\n%s", err, out)
		}
		return
	}
	// The purge of a name is all that needs no file of left4me's.
	err := (&supervisor.Systemd{Root: t.TempDir()}).Stop(context.Background(), "x")
	if err != nil {
		t.Errorf("a stopped server needs no permission to be stopped: %v", err)
	}
	s := &supervisor.Systemd{Root: strangersRoot(t)}
	err = s.Start(context.Background(), suitetest.Launch("x", "wait"))
	if !errors.Is(err, ctl.ErrNotPermitted) || !strings.Contains(err.Error(), "/etc/polkit-1/rules.d/50-left4me.rules") {
		t.Errorf("start as nobody: %v", err)
	}
}

// strangersRoot is a state root of this user's own.
func strangersRoot(t *testing.T) string {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "installation"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// The unit is as closed as it can be while the game runs.
func TestExposure(t *testing.T) {
	out, err := try("systemd-analyze", "security", "--no-pager", "--threshold=15", "left4me-server@x.service")
	lines := strings.Split(out, "\n")
	t.Log(lines[len(lines)-1])
	if err != nil {
		t.Errorf("the server's unit is too open: %v\n%s", err, out)
	}
	for _, unit := range []string{"left4me-web.service", "left4me-worker.service"} {
		if out, err := try("systemd-analyze", "security", "--no-pager", "--threshold=25", unit); err != nil {
			t.Errorf("%s is too open: %v\n%s", unit, err, out)
		}
	}
	if out, err := try("systemd-analyze", "security", "--no-pager", "--threshold=15", "left4me-build@1.service"); err != nil {
		t.Errorf("the unit of builds is too open: %v\n%s", err, out)
	}
	if out, err := try("systemd-analyze", "verify", "left4me-build@1.service", "left4me-server@x.service", "left4me-purge@x.service", "left4me-web.service", "left4me-worker.service"); err != nil || strings.Contains(out, "left4me") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// What runs as root sees no environment file, no working directory, and nothing
// that anybody but root can change.
func TestRootLines(t *testing.T) {
	rooted := 0
	for _, unit := range []string{"left4me-server@x.service", "left4me-build@1.service", "left4me-purge@x.service", "left4me-web.service", "left4me-worker.service"} {
		text := sh(t, "systemctl", "cat", unit)
		plus := regexp.MustCompile(`(?m)^Exec\w+=[-:@]*\+(\S+)`).FindAllStringSubmatch(text, -1)
		if len(plus) == 0 {
			continue
		}
		if m := regexp.MustCompile(`(?m)^(EnvironmentFile|Environment|PassEnvironment|WorkingDirectory|RootDirectory)=.*`).FindString(text); m != "" {
			t.Errorf("%s has lines that run as root, and %s", unit, m)
		}
		for _, p := range plus {
			rooted++
			for path := p[1]; ; path = filepath.Dir(path) {
				fi, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				if uid := ownerOf(fi); uid != 0 || fi.Mode()&0o022 != 0 {
					t.Errorf("%s, which %s runs as root, can be changed by others (owner %d, mode %s)", path, unit, uid, fi.Mode())
				}
				if path == "/" {
					break
				}
			}
		}
	}
	if rooted != 3 {
		t.Errorf("%d lines run as root, want mount, umount and purge", rooted)
	}
}

// Users and folders are what deploy/README.md says.
func TestFolders(t *testing.T) {
	for path, want := range map[string]string{
		stateRoot:                   "left4me:left4me 750",
		stateRoot + "/installation": "left4me:left4me 755",
		stateRoot + "/overlays":     "left4me:left4me 755",
		stateRoot + "/instances":    "left4me:left4me 755",
		stateRoot + "/workshop":     "left4me:left4me 755",
		stateRoot + "/steam":        "left4me:left4me 755",
		stateRoot + "/runtime":      "root:root 755",
		stateRoot + "/tmp":          "left4me:left4me 700",
		stateRoot + "/uploads":      "left4me:left4me 700",
		stateRoot + "/builds":       "left4me:l4d2-build 750",
		"/etc/left4me":              "root:root 755",
		"/etc/left4me/web.env":      "root:left4me 640",
		"/etc/left4me/worker.env":   "root:left4me 640",
		"/opt/left4me/bin":          "root:root 755",
	} {
		if got := sh(t, "stat", "-c", "%U:%G %a", path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	for _, name := range []string{"left4me", "l4d2", "l4d2-build"} {
		if got := sh(t, "getent", "passwd", name); !strings.HasSuffix(got, ":/usr/sbin/nologin") {
			t.Errorf("%s can sign in: %s", name, got)
		}
	}
}

// The errors of systemd come back as sentences with what to do.
func TestRefusedStarts(t *testing.T) {
	if again(t) {
		return
	}
	addGame(t)
	s := systemd()
	l := suitetest.Launch("refused", "wait")
	l.Layers = []string{"overlays/3/v1", "installation"}
	dir := filepath.Join(stateRoot, "overlays/3/v1")
	suitetest.Write(t, filepath.Join(dir, "x"), "x")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	err := s.Start(context.Background(), l)
	if err == nil || !strings.Contains(err.Error(), "could not be mounted") || !strings.Contains(err.Error(), "3/v1") {
		t.Errorf("a layer that everybody can change: %v", err)
	}
	if i := suitetest.Status(t, s, "refused"); i.State != ctl.ServerFailed || !strings.Contains(i.Message, "3/v1") {
		t.Errorf("%+v", i)
	}
	suitetest.Down(t, s, "refused")
	if err := s.Purge(context.Background(), "refused"); err != nil {
		t.Error(err)
	}
	if err := s.Start(context.Background(), suitetest.Launch("../x")); !errors.Is(err, ctl.ErrBadName) {
		t.Errorf("a path as name: %v", err)
	}
}
