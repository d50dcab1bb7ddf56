package privilege

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// envHelper makes the test binary a program that drops root and reports.
const envHelper = "LEFT4ME_TEST_DROP"

// order is what the helper is to do, in its environment; finding is its report.
type order struct {
	Options Options
	NoMount bool // give CAP_SYS_ADMIN away first
	Try     []string
}

type finding struct {
	Err                string
	IsRoot             bool // the error wraps ctl.ErrRoot
	UIDs, GIDs         [3]int
	Groups             []int
	Caps               []string
	Home, Wd           string
	Args               []string
	Readable, Writable []string // of Try
	Runs               []string // of Try
	SetuidZero         bool     // could become root again
	Umask              int
}

func TestMain(m *testing.M) {
	if raw := os.Getenv(envHelper); raw != "" {
		os.Exit(helper(raw))
	}
	os.Exit(m.Run())
}

func helper(raw string) int {
	var o order
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var f finding
	if o.NoMount && os.Getuid() == 0 {
		runtime.LockOSThread()
		giveUpMounts()
	}
	if err := Drop(o.Options); err != nil {
		f.Err, f.IsRoot = err.Error(), errors.Is(err, ctl.ErrRoot)
	} else {
		f.look(o.Try)
	}
	if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
		return 1
	}
	return 0
}

func giveUpMounts() {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		panic(err)
	}
	data[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	data[0].Permitted &^= 1 << unix.CAP_SYS_ADMIN
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		panic(err)
	}
}

func (f *finding) look(try []string) {
	f.UIDs[0], f.UIDs[1], f.UIDs[2] = unix.Getresuid()
	f.GIDs[0], f.GIDs[1], f.GIDs[2] = unix.Getresgid()
	f.Groups, _ = os.Getgroups()
	status, _ := os.ReadFile("/proc/self/status") // an empty one fails the test below
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") {
			f.Caps = append(f.Caps, strings.TrimSpace(line))
		}
	}
	f.Home, f.Args = os.Getenv("HOME"), os.Args[1:]
	f.Wd, _ = os.Getwd()
	f.SetuidZero = syscall.Setuid(0) == nil
	f.Umask = unix.Umask(0)
	for _, p := range try {
		if _, err := os.ReadFile(p); err == nil {
			f.Readable = append(f.Readable, p)
		}
		if os.WriteFile(filepath.Join(p, "new"), []byte("x"), 0o644) == nil {
			f.Writable = append(f.Writable, p)
		}
		if exec.Command(p).Run() == nil {
			f.Runs = append(f.Runs, p)
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("giving root away can only be tested as root, and CI must test it")
	}
	t.Skip("giving root away can only be tested as root")
}

// place is a folder that only root may enter, with a program folder and a
// secret in it.
func place(t *testing.T) (dir, program string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "left4me-priv-") // 0700, root's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, d := range []string{"bin", "other"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "bin", "left4me")
	write(t, program, string(self), 0o755)
	write(t, filepath.Join(dir, "bin", "l4d2ctl"), "#!/bin/sh\nexit 0\n", 0o755)
	write(t, filepath.Join(dir, "other", "secret"), "secret", 0o644)
	return dir, program
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// drop runs program as root with o and returns what it found.
func drop(t *testing.T, program string, o order, change func(*exec.Cmd)) finding {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "up", "--listen", "a b")
	cmd.Env = append(os.Environ(), envHelper+"="+string(raw), "GORACE=atexit_sleep_ms=0") // the race detector would wait a second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if change != nil {
		change(cmd)
	}
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	var f finding
	if err := json.Unmarshal(out, &f); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the mount table changed (%v):\n%s\n%s", err, before, after)
	}
	return f
}

const nobody = 65534

func TestDropBelowAFolderOfRoot(t *testing.T) {
	needRoot(t)
	dir, program := place(t)
	state := filepath.Join(dir, "data", "state")
	ctlPath := filepath.Join(dir, "bin", "l4d2ctl")
	secret := filepath.Join(dir, "other", "secret")
	o := order{
		Options: Options{User: "nobody", StateRoot: state, Reach: []string{filepath.Dir(program)}},
		Try:     []string{state, ctlPath, secret},
	}
	f := drop(t, program, o, func(c *exec.Cmd) {
		c.Dir = dir // which the user may not enter either
		c.Env = append(c.Env, "HOME=/root", "XDG_RUNTIME_DIR=/run/user/0")
	})
	if f.Err != "" {
		t.Fatal(f.Err)
	}
	if f.UIDs != [3]int{nobody, nobody, nobody} || f.GIDs != [3]int{nobody, nobody, nobody} || len(f.Groups) != 0 || f.SetuidZero {
		t.Errorf("still root somewhere: %+v", f)
	}
	if len(f.Caps) != 5 {
		t.Errorf("capabilities %q, want five lines", f.Caps)
	}
	for _, c := range f.Caps {
		if !strings.HasSuffix(c, "\t0000000000000000") {
			t.Errorf("%s is left", c)
		}
	}
	if got := strings.Join(f.Args, "|"); got != "up|--listen|a b" {
		t.Errorf("arguments %q", got)
	}
	if strings.Join(f.Writable, "|") != state {
		t.Errorf("writable %q, want only %s", f.Writable, state)
	}
	if strings.Join(f.Runs, "|") != ctlPath {
		t.Errorf("runs %q, want only %s", f.Runs, ctlPath)
	}
	if strings.Contains(strings.Join(f.Readable, "|"), secret) {
		t.Errorf("%s can be read", secret)
	}
	if f.Home == "/root" {
		t.Errorf("HOME is still %s", f.Home)
	}
	if f.Wd != dir {
		t.Errorf("working directory %s, want %s", f.Wd, dir)
	}
	st, err := os.Stat(filepath.Join(state, "new"))
	if err != nil || st.Sys().(*syscall.Stat_t).Uid != nobody {
		t.Errorf("what the user wrote is not in the real folder: %v", err)
	}
}

// The umask of an administrator's shell must not close what was opened.
func TestDropUnderAStrictUmask(t *testing.T) {
	needRoot(t)
	dir, program := place(t)
	state := filepath.Join(dir, "deep", "state")
	old := unix.Umask(0o077)
	f := drop(t, program, order{Options: Options{User: "nobody", StateRoot: state}, Try: []string{state}}, nil)
	unix.Umask(old)
	if f.Err != "" || len(f.Writable) != 1 || f.Umask != 0o077 {
		t.Errorf("%+v", f)
	}
}

// The programs are in the very folder that the user may not enter.
func TestDropShowsProgramsOfAClosedFolder(t *testing.T) {
	needRoot(t)
	dir, program := place(t)
	if err := os.Chmod(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(dir, "bin", "note.txt")
	write(t, note, "secret", 0o644)
	ctlPath := filepath.Join(dir, "bin", "l4d2ctl")
	f := drop(t, program, order{
		Options: Options{User: "nobody", StateRoot: filepath.Join(dir, "state"), Reach: []string{filepath.Dir(program), "/does/not/exist"}},
		Try:     []string{ctlPath, note},
	}, nil)
	if f.Err != "" || strings.Join(f.Runs, "|") != ctlPath {
		t.Errorf("%+v", f)
	}
	if strings.Contains(strings.Join(f.Readable, "|"), note) {
		t.Errorf("%s can be read", note)
	}
}

func TestDropBySymbolicLink(t *testing.T) {
	needRoot(t)
	dir, program := place(t)
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	f := drop(t, program, order{Options: Options{User: "nobody", StateRoot: link}, Try: []string{link, real}}, nil)
	if f.Err != "" || len(f.Writable) != 2 {
		t.Errorf("%+v", f)
	}
	// One that another user made may lead anywhere.
	if err := os.Lchown(link, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(real, 0, 0); err != nil {
		t.Fatal(err)
	}
	f = drop(t, program, order{Options: Options{User: "nobody", StateRoot: link}}, nil)
	if !f.IsRoot || !strings.Contains(f.Err, "symbolic link") || owner(t, real) != 0 {
		t.Errorf("%+v, owner %d", f, owner(t, real))
	}
}

func owner(t *testing.T, path string) int {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Uid)
}

func TestChoiceOfUser(t *testing.T) {
	needRoot(t)
	dir, program := place(t)
	owned := filepath.Join(dir, "owned")
	if err := os.Mkdir(owned, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(owned, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	fallback := nobody
	if a, err := lookup(ServiceUser); err == nil {
		fallback = a.uid
	}
	tests := map[string]struct {
		options Options
		env     string
		uid     int
		err     string
	}{
		"owner of the state folder":     {options: Options{StateRoot: owned}, uid: 12345},
		"service user or nobody":        {options: Options{StateRoot: filepath.Join(dir, "fresh")}, uid: fallback},
		"by number":                     {options: Options{User: "65534", StateRoot: filepath.Join(dir, "num")}, uid: nobody},
		"environment":                   {options: Options{StateRoot: filepath.Join(dir, "env")}, env: "nobody", uid: nobody},
		"option before environment":     {options: Options{User: "nobody", StateRoot: filepath.Join(dir, "opt")}, env: "root", uid: nobody},
		"unknown":                       {options: Options{User: "no-such-user"}, err: `"no-such-user", does not exist`},
		"root by option":                {options: Options{User: "root"}, err: "is root itself"},
		"root by environment":           {env: "0", err: "is root itself"},
		"state folder of somebody else": {options: Options{User: "nobody", StateRoot: owned}, err: "belongs to user 12345"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := drop(t, program, order{Options: tt.options}, func(c *exec.Cmd) { c.Env = append(c.Env, EnvUser+"="+tt.env) })
			if tt.err != "" {
				if !f.IsRoot || !strings.Contains(f.Err, tt.err) || !strings.Contains(f.Err, "useradd --system") {
					t.Errorf("got %+v, want the sentence with %q", f, tt.err)
				}
				return
			}
			if f.Err != "" || f.UIDs[1] != tt.uid {
				t.Errorf("got user %d (%s), want %d", f.UIDs[1], f.Err, tt.uid)
			}
		})
	}
}

func TestStateIsGivenAwayOnlyWhenItIsOurs(t *testing.T) {
	needRoot(t)
	dir, program := place(t)
	outside := filepath.Join(dir, "outside")
	write(t, outside, "root's", 0o600)
	state := func(name string, fill func(dir string)) string {
		d := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(d, "overlays", "1"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(d, "overlays", "1", "file"), "x", 0o644)
		fill(d)
		return d
	}
	link := state("link", func(d string) {
		if err := os.Symlink(outside, filepath.Join(d, "overlays", "link")); err != nil {
			t.Fatal(err)
		}
	})
	f := drop(t, program, order{Options: Options{User: "nobody", StateRoot: link}}, nil)
	if f.Err != "" || owner(t, filepath.Join(link, "overlays", "1", "file")) != nobody || owner(t, outside) != 0 {
		t.Errorf("%+v; file %d, outside %d", f, owner(t, filepath.Join(link, "overlays", "1", "file")), owner(t, outside))
	}
	refused := map[string]struct {
		fill func(d string)
		want string
	}{
		"foreign": {func(d string) { write(t, filepath.Join(d, "holiday.jpg"), "x", 0o644) }, `"holiday.jpg", which is not left4me's`},
		"hardlink": {func(d string) {
			if err := os.Link(outside, filepath.Join(d, "overlays", "hard")); err != nil {
				t.Fatal(err)
			}
		}, "second name"},
	}
	for name, tt := range refused {
		t.Run(name, func(t *testing.T) {
			d := state(name, tt.fill)
			f := drop(t, program, order{Options: Options{User: "nobody", StateRoot: d}}, nil)
			if !f.IsRoot || !strings.Contains(f.Err, tt.want) || owner(t, outside) != 0 || owner(t, d) != 0 {
				t.Errorf("got %+v; outside %d, folder %d", f, owner(t, outside), owner(t, d))
			}
		})
	}
}

// A container's root may not mount.
func TestDropWithoutMounts(t *testing.T) {
	needRoot(t)
	dir, program := place(t)
	o := order{Options: Options{User: "nobody", StateRoot: filepath.Join(dir, "state")}, NoMount: true}
	f := drop(t, program, o, nil)
	if !f.IsRoot || !strings.Contains(f.Err, "/var/lib") {
		t.Errorf("%+v", f)
	}
	// Where nothing is in the way, no mount is needed.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if f := drop(t, program, o, nil); f.Err != "" || f.UIDs[0] != nobody {
		t.Errorf("%+v", f)
	}
}

func TestDropIsNothingForAnOrdinaryUser(t *testing.T) {
	needRoot(t)
	dir, program := place(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	f := drop(t, program, order{Options: Options{User: "root", StateRoot: state}}, func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	})
	if _, err := os.Stat(state); f.Err != "" || f.UIDs[0] != nobody || err == nil {
		t.Errorf("%+v, %v", f, err)
	}
}
