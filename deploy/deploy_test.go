// Package deploy has no code: it is what `make install` lays out. Its test is that
// the tree, the units and the page about them agree.
package deploy

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tree is every path that `make install` promises, with its mode.
var tree = map[string]string{
	"opt/left4me/bin/left4me":                              "-rwxr-xr-x",
	"opt/left4me/bin/l4d2ctl":                              "-rwxr-xr-x",
	"opt/left4me/bin/left4me-overlay":                      "-rwxr-xr-x",
	"opt/left4me/share/README.md":                          "-rw-r--r--",
	"opt/left4me/share/web.env":                            "-rw-r--r--",
	"opt/left4me/share/worker.env":                         "-rw-r--r--",
	"usr/local/bin/left4me":                                "L",
	"usr/local/bin/l4d2ctl":                                "L",
	"usr/local/lib/systemd/system/left4me-server@.service": "-rw-r--r--",
	"usr/local/lib/systemd/system/left4me-purge@.service":  "-rw-r--r--",
	"usr/local/lib/systemd/system/left4me-web.service":     "-rw-r--r--",
	"usr/local/lib/systemd/system/left4me-worker.service":  "-rw-r--r--",
	"usr/local/lib/systemd/system/left4me-build@.service":  "-rw-r--r--",
	"usr/local/lib/systemd/system/l4d2-build.slice":        "-rw-r--r--",
	"opt/left4me/share/recipes/standard.sh":                "-rw-r--r--",
	"opt/left4me/share/recipes/tickrate.sh":                "-rw-r--r--",
	"opt/left4me/share/recipes/competitive_rework.sh":      "-rw-r--r--",
	"opt/left4me/share/recipes/l4d2center_maps.sh":         "-rw-r--r--",
	"opt/left4me/share/recipes/workshop_maps.sh":           "-rw-r--r--",
	"usr/local/lib/systemd/system/l4d2.slice":              "-rw-r--r--",
	"usr/local/lib/systemd/system/l4d2-game.slice":         "-rw-r--r--",
	"usr/local/lib/sysusers.d/left4me.conf":                "-rw-r--r--",
	"usr/local/lib/tmpfiles.d/left4me.conf":                "-rw-r--r--",
	"etc/polkit-1/rules.d/50-left4me.rules":                "-rw-r--r--",
	"etc/left4me/web.env":                                  "-rw-r-----",
	"etc/left4me/worker.env":                               "-rw-r-----",
}

// install runs the second half of `make install`, with programs that are none.
func install(t *testing.T, root string) {
	t.Helper()
	bin := t.TempDir()
	for _, p := range []string{"left4me", "l4d2ctl", "left4me-overlay", "steamsim"} {
		if err := os.WriteFile(filepath.Join(bin, p), []byte("#!/bin/true\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("../scripts/install", bin)
	cmd.Env = append(os.Environ(), "DESTDIR="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install: %v\n%s", err, out)
	}
}

func TestInstalledTree(t *testing.T) {
	root := t.TempDir()
	install(t, root)
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		found[rel] = info.Mode().String()
		if info.Mode()&fs.ModeSymlink != 0 {
			found[rel] = "L"
			to, err := os.Readlink(path)
			if err != nil || to != "/opt/left4me/bin/"+filepath.Base(rel) {
				t.Errorf("%s is a link to %s (%v)", rel, to, err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range tree {
		if found[path] != mode {
			t.Errorf("%s: %q, want %s", path, found[path], mode)
		}
	}
	for path := range found {
		if tree[path] == "" {
			t.Errorf("%s is installed and not promised", path)
		}
	}
}

// What an operator wrote into an env file survives an update.
func TestInstallKeepsEnvFiles(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "etc/left4me/web.env")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("MINE=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	install(t, root)
	if b, err := os.ReadFile(file); err != nil || string(b) != "MINE=1\n" {
		t.Errorf("web.env is now %q (%v)", b, err)
	}
}

// Every variable that a program takes is explained on the page, and those of web
// and worker in their example files.
func TestVariablesAreExplained(t *testing.T) {
	readme := read(t, "README.md")
	sources, err := filepath.Glob("../cmd/left4me/*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, file := range sources {
		for _, m := range regexp.MustCompile(`(?:env:|Getenv\()"([A-Z][A-Z0-9_]+)"`).FindAllStringSubmatch(read(t, file), -1) {
			if m[1] != "PATH" && m[1] != "XDG_DATA_HOME" {
				known[m[1]] = true
			}
		}
	}
	if len(known) < 10 {
		t.Fatalf("found only %d variables in the programs", len(known))
	}
	for name := range known {
		row := regexp.MustCompile("(?m)^\\|[^|]*`" + name + "`[^|]*\\|([^|]*)\\|([^|]*)\\|").FindStringSubmatch(readme)
		if row == nil {
			t.Errorf("README.md does not explain %s", name)
			continue
		}
		for i, file := range []string{"env/web.env", "env/worker.env"} {
			wanted := strings.Contains(row[i+1], "●")
			has := regexp.MustCompile(`(?m)^#?` + name + `=`).MatchString(read(t, file))
			if wanted != has {
				t.Errorf("%s in %s: %v, the page says %v", name, file, has, wanted)
			}
		}
	}
	for _, file := range []string{"env/web.env", "env/worker.env"} {
		for _, m := range regexp.MustCompile(`(?m)^#?([A-Z][A-Z0-9_]+)=`).FindAllStringSubmatch(read(t, file), -1) {
			if !known[m[1]] {
				t.Errorf("%s has %s, which no program takes", file, m[1])
			}
		}
	}
}

// Lines that were tried and break the engine, steamcmd or journalctl, and those
// that work only in one place, with the bug that each would bring back.
func TestUnitsKeepTheirLessons(t *testing.T) {
	server, worker := read(t, "systemd/left4me-server@.service"), read(t, "systemd/left4me-worker.service")
	for unit, text := range map[string]string{"server": server, "worker": worker} {
		for line, why := range map[string]string{
			`ProcSubset=`:                     "the engine reads /proc/cpuinfo, journalctl the boot id",
			`MemoryDenyWriteExecute=`:         "32-bit code relocates its text",
			`SystemCallArchitectures=native$`: "steamcmd and the engine are 32-bit",
		} {
			if regexp.MustCompile(`(?m)^` + line).MatchString(text) {
				t.Errorf("the unit of the %s has %s: %s", unit, line, why)
			}
		}
	}
	if unit, _, _ := strings.Cut(server, "\n[Service]\n"); !strings.Contains(unit, "\nStartLimitBurst=") {
		t.Error("StartLimitBurst= is ignored outside of [Unit], and the server is started again for ever")
	}
	if regexp.MustCompile(`(?m)^KillMode=mixed`).MatchString(server) {
		t.Error("KillMode=mixed kills the game without waiting when systemd believes that it is not its child")
	}
	for _, unit := range []string{server, read(t, "systemd/left4me-purge@.service")} {
		if m := regexp.MustCompile(`(?m)^(EnvironmentFile|Environment|PassEnvironment|WorkingDirectory|RootDirectory)=.*`).FindString(unit); m != "" {
			t.Errorf("a unit with lines that run as root has %s", m)
		}
	}
}

// The web app stands nearest to the internet: of the state root it sees what pages
// show, and writes uploads. Every folder it is given is one that is made at boot, or
// the unit would not start.
func TestWebUnitSeesOverlaysAndNoSecrets(t *testing.T) {
	web, made := read(t, "systemd/left4me-web.service"), read(t, "tmpfiles/left4me.conf")
	const runtime = "/var/lib/left4me/runtime"
	want := map[string]string{
		"TemporaryFileSystem": "/var/lib:ro /var/log:ro",
		// A copy of the games' mounts below runtime would keep their files in use.
		"BindReadOnlyPaths": "/var/lib/left4me/overlays /var/lib/left4me/workshop /var/lib/left4me/avatars /var/lib/left4me/installation\n" + runtime + ":" + runtime + ":norbind",
		"BindPaths":         "/var/lib/left4me/uploads",
		"ReadWritePaths":    "",
	}
	for name, value := range want {
		var lines []string
		for _, m := range regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(web, -1) {
			lines = append(lines, m[1])
		}
		if got := strings.Join(lines, "\n"); got != value {
			t.Errorf("%s= is %q, want %q", name, got, value)
		}
		for path := range strings.FieldsSeq(value) {
			path, _, _ = strings.Cut(path, ":")
			if strings.HasPrefix(path, "/var/lib/left4me/") && !regexp.MustCompile(`(?m)^d `+path+`\s`).MatchString(made) {
				t.Errorf("the web app's unit needs %s, and nothing makes it", path)
			}
		}
	}
}

// What makes a script harmless, and the lines that were tried and undo it.
func TestBuildUnitIsClosed(t *testing.T) {
	unit := read(t, "systemd/left4me-build@.service")
	has := func(line string) bool { return regexp.MustCompile(`(?m)^` + line).MatchString(unit) }
	for line, why := range map[string]string{
		`TemporaryFileSystem=/:ro$`:             "a script sees the database, the env files and other builds unless its root is empty",
		`TemporaryFileSystem=/dev/shm:`:         "what the host has in shared memory is there for every script",
		`PrivateNetwork=yes$`:                   "a script knocks on the host's own services",
		`PrivatePIDs=yes$`:                      "a script sees and ends other builds, which are the same user",
		`PrivateUsers=yes$`:                     "a script meets the host's users",
		`PrivateIPC=yes$`:                       "builds share memory, which nobody counts",
		`NoNewPrivileges=yes$`:                  "a setuid program gives a script root",
		`CapabilityBoundingSet=$`:               "a script has capabilities",
		`RestrictNamespaces=yes$`:               "a script makes namespaces, and is root in them",
		`MemoryMax=4G$`:                         "a build takes the memory of games",
		`MemorySwapMax=0$`:                      "a build beyond its memory swaps games out",
		`TasksMax=512$`:                         "a fork bomb takes every process of the host",
		`RuntimeMaxSec=`:                        "a build that l4d2ctl lost runs for ever",
		`OOMPolicy=kill$`:                       "half of a build goes on and is published",
		`SystemCallErrorNumber=EPERM$`:          "cp -p and tar are killed where they would only fail",
		`BindReadOnlyPaths=.*/etc/alternatives`: "awk is a dangling link",
		`UMask=0007$`:                           "left4me cannot take the output over",
		`Slice=l4d2-build.slice$`:               "builds compete with games",
	} {
		if !has(line) {
			t.Errorf("the unit of builds lacks %s: %s", line, why)
		}
	}
	for line, why := range map[string]string{
		`IPAddressAllow=`:                      "it overrules every IPAddressDeny=",
		`(EnvironmentFile|PassEnvironment)=`:   "what it holds is the platform's",
		`Exec\w+=[-:@]*\+`:                     "nothing of a build runs as root",
		`PrivateTmp=`:                          "its /tmp is on the disk and has no bound",
		`(JoinsNamespaceOf|PrivateNetwork=no)`: "it would have another's network",
		`ProtectSystem=`:                       "read-only is not hidden",
		`BindPaths=-`:                          "without its output a script writes to nowhere",
		`KillMode=(mixed|process|none)`:        "something of a build stays",
	} {
		if has(line) {
			t.Errorf("the unit of builds has %s: %s", line, why)
		}
	}
	slice := read(t, "systemd/l4d2-build.slice")
	for _, line := range []string{"CPUWeight=10\n", "IOWeight=10\n"} {
		if !strings.Contains(slice, line) {
			t.Errorf("the slice of builds lacks %q", line)
		}
	}
	if users := read(t, "sysusers/left4me.conf"); !strings.Contains(users, "\nm left4me l4d2-build\n") {
		t.Error("left4me is not in the group l4d2-build")
	} else if !strings.Contains(users, "\nm left4me l4d2\n") {
		t.Error("left4me is not in the group l4d2, and pages cannot show what games wrote")
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
