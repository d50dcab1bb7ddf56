package supervisor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/privilege"
	"left4me/hostops/supervisor"
	"left4me/hostops/supervisor/suitetest"
)

// envInner makes the test binary a program that spoils its surroundings as it is
// told, starts a server and reports.
const envInner = "LEFT4ME_TEST_INNER"

type innerOrder struct {
	Root   string
	Spoil  string // a key of spoilers
	Drop   bool   // give root away first
	Linger bool   // stay after the report
	Args   []string
}

type innerReport struct {
	Code  int
	Error string
	State ctl.ServerState
	UID   int
	Lines []string
}

// spoilers change this process's own namespaces or rights.
var spoilers = map[string]func(root string) error{
	"": func(string) error { return nil },
	"no user namespaces": func(string) error {
		return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	},
	"chroot": func(root string) error {
		at := filepath.Join(root, "tmp")
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("/", at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
		if err := unix.Chroot(at); err != nil {
			return err
		}
		return unix.Chdir("/")
	},
	"mount is refused": func(string) error { return refuseMounts() },
	"state on an overlay": func(root string) error {
		o := filepath.Join(root, "tmp")
		for _, d := range []string{"u", "w"} {
			if err := os.MkdirAll(filepath.Join(o, d), 0o755); err != nil {
				return err
			}
		}
		if err := os.Mkdir(filepath.Join(root, "runtime"), 0o755); err != nil {
			return err
		}
		return unix.Mount("o", filepath.Join(root, "runtime"), "overlay", 0, fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s/u,workdir=%s/w", filepath.Join(root, "installation"), o, o))
	},
	"full disk": func(root string) error {
		if err := smallDisk(root); err != nil {
			return err
		}
		return fillDisk(root, 0)
	},
	"small disk": smallDisk,
	"covered proc": func(string) error { // as container engines do
		return unix.Mount("none", "/proc/fs", "tmpfs", 0, "")
	},
}

// smallDisk puts runtime/ on a disk of 32 MiB: room for every round of a flooded log.
func smallDisk(root string) error {
	at := filepath.Join(root, "runtime")
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	return unix.Mount("small", at, "tmpfs", 0, "size=32m")
}

// fillDisk leaves about so many bytes of it.
func fillDisk(root string, leave int64) error {
	path := filepath.Join(root, "runtime", "junk")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return f.Truncate(fi.Size() - leave)
}

// refuseMounts makes mount(2) answer EACCES, as a security module does.
func refuseMounts() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_MOUNT, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x00050000 | uint32(unix.EACCES)},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}

func inner(raw string) int {
	var o innerOrder
	err := json.Unmarshal([]byte(raw), &o)
	if err == nil && os.Geteuid() == 0 || !o.Drop {
		err = spoilers[o.Spoil](o.Root)
	}
	if err == nil && o.Drop {
		err = privilege.Drop(privilege.Options{User: "nobody", StateRoot: o.Root})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r := &supervisor.Rootless{Root: o.Root, Self: suitetest.Self()}
	rep := innerReport{UID: os.Getuid()}
	if o.Spoil == "small disk" {
		err = logOnFullDisk(r, &rep)
	} else {
		err = r.Start(context.Background(), suitetest.Launch("inner", append(o.Args, "print:inner game", "wait")...))
		if i, serr := r.Status(context.Background(), "inner"); serr == nil {
			rep.State = i.State
		}
	}
	rep.Code = ctl.ExitCode(err)
	if err != nil {
		rep.Error = err.Error()
	}
	if o.Drop {
		err = r.Stop(context.Background(), "inner")
	}
	if eerr := json.NewEncoder(os.Stdout).Encode(rep); eerr != nil || o.Drop && err != nil {
		fmt.Fprintln(os.Stderr, err, eerr)
		return 1
	}
	if o.Linger {
		select {} // until we are killed
	}
	return 0
}

// innerCommand prepares an inner run; sys gives it namespaces of its own.
func innerCommand(t testing.TB, o innerOrder, sys *syscall.SysProcAttr) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envInner+"="+string(raw))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = sys
	return cmd
}

func runInner(t *testing.T, o innerOrder, sys *syscall.SysProcAttr) innerReport {
	t.Helper()
	out, err := innerCommand(t, o, sys).Output()
	if err != nil {
		t.Fatalf("inner: %v %s", err, out)
	}
	var rep innerReport
	if err := json.Unmarshal(out, &rep); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return rep
}

// private are namespaces in which an ordinary user may do what spoilers do.
func private() *syscall.SysProcAttr {
	uid, gid := os.Getuid(), os.Getgid()
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT, unix.CAP_SYS_RESOURCE, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER},
	}
}

// Each way in which a host can refuse has its own code and its own sentence,
// that names the switch.
func TestHostsThatRefuse(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	tests := map[string]struct {
		kind error
		text []string
	}{
		"no user namespaces":  {ctl.ErrNoNamespaces, []string{"user.max_user_namespaces is 0", "sysctl -w"}},
		"chroot":              {ctl.ErrNoNamespaces, []string{"refused a user namespace", "chroot"}},
		"mount is refused":    {ctl.ErrNoNamespaces, []string{"inside a user namespace", "security module"}},
		"state on an overlay": {ctl.ErrNoOverlayFS, []string{"overlayfs", "ext4, xfs, btrfs or tmpfs"}},
		"full disk":           {ctl.ErrDiskFull, []string{"disk", "full", "free some space"}},
	}
	for spoil, tt := range tests {
		t.Run(spoil, func(t *testing.T) {
			root := suitetest.NewRoot(t)
			rep := runInner(t, innerOrder{Root: root, Spoil: spoil}, private())
			if rep.Code != ctl.ExitCode(tt.kind) {
				t.Errorf("code %d, want %d: %s", rep.Code, ctl.ExitCode(tt.kind), rep.Error)
			}
			for _, want := range tt.text {
				if !strings.Contains(rep.Error, want) {
					t.Errorf("%q does not say %q", rep.Error, want)
				}
			}
			if rep.State == ctl.ServerRunning || rep.State == ctl.ServerStarting {
				t.Errorf("state %s", rep.State)
			}
		})
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("what root must not do can only be tested as root, and CI must test it")
	}
	t.Skip("what root must not do can only be tested as root")
}

func TestRootIsRefused(t *testing.T) {
	needRoot(t)
	rep := runInner(t, innerOrder{Root: suitetest.NewRoot(t)}, nil)
	if rep.Code != ctl.ExitCode(ctl.ErrRoot) || !strings.Contains(rep.Error, "runuser") {
		t.Errorf("%+v", rep)
	}
}

// Root that gave itself away runs servers from folders that only root may enter.
func TestDroppedRootRunsServers(t *testing.T) {
	needRoot(t)
	for _, below := range []string{"", "/root"} {
		t.Run("below "+below, func(t *testing.T) {
			closed, err := os.MkdirTemp(below, "left4me-closed-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { suitetest.RemoveAll(t, closed) })
			root := filepath.Join(closed, "state")
			if err := os.MkdirAll(filepath.Join(root, "installation"), 0o755); err != nil {
				t.Fatal(err)
			}
			suitetest.AddGame(t, filepath.Join(root, "installation", suitetest.GameName))
			before := suitetest.Mountinfo(t)
			rep := runInner(t, innerOrder{Root: root, Drop: true}, nil)
			if rep.Code != 0 || rep.State != ctl.ServerRunning || rep.UID != 65534 {
				t.Errorf("%+v", rep)
			}
			if after := suitetest.Mountinfo(t); after != before {
				t.Errorf("mounts before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

func TestDroppedRootWithoutNamespaces(t *testing.T) {
	needRoot(t)
	root := suitetest.NewRoot(t)
	all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	rep := runInner(t, innerOrder{Root: root, Drop: true, Spoil: "no user namespaces"}, &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: all, GidMappings: all, GidMappingsEnableSetgroups: true,
	})
	if rep.Code != ctl.ExitCode(ctl.ErrNoNamespaces) || rep.UID != 65534 || !strings.Contains(rep.Error, "user.max_user_namespaces is 0") {
		t.Errorf("%+v", rep)
	}
}

// Inside a container the kernel allows no fresh /proc. The host's must not be
// seen instead.
func TestNoProcOfItsOwn(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	rep := runInner(t, innerOrder{Root: r.Root, Spoil: "covered proc", Args: []string{
		"read:/proc/cpuinfo", "read:/proc/1/cmdline", "read:/proc/self/status", "read:/proc/" + strconv.Itoa(os.Getpid()) + "/cmdline",
	}}, private())
	if rep.Code != 0 || rep.State != ctl.ServerRunning {
		t.Fatalf("%+v", rep)
	}
	suitetest.WaitLine(t, r, "inner", "inner game")
	console := "\n" + strings.Join(suitetest.Console(t, r, "inner"), "\n")
	suitetest.Down(t, r, "inner")
	for _, want := range []string{"[left4me] The kernel allows no /proc", `content of /proc/cpuinfo: "`, "error: open /proc/1/", "error: open /proc/self/", "error: open /proc/" + strconv.Itoa(os.Getpid())} {
		if !strings.Contains(console, "\n"+want) {
			t.Errorf("no line %q in%.1000s", want, console)
		}
	}
}

// The game runs on while its log meets a full disk, and the log says so as soon
// as it can.
func TestLogOnFullDisk(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	rep := runInner(t, innerOrder{Root: suitetest.NewRoot(t), Spoil: "small disk"}, private())
	text := strings.Join(rep.Lines, "\n")
	if rep.Code != 0 || !strings.Contains(text, "lines of the console were lost here: the disk was full") {
		t.Errorf("%d %s\n%s", rep.Code, rep.Error, text)
	}
}

func logOnFullDisk(r *supervisor.Rootless, rep *innerReport) error {
	ctx := context.Background()
	// The log is written behind the game's back, so a round in which the writer
	// slept until there was room again loses nothing. One of them will.
	const rounds = 20
	play := []string{"print:ready 0"}
	for i := 1; i <= rounds; i++ {
		play = append(play, "usr1", "flood:20000", "write:/proc/self/comm=flooded "+strconv.Itoa(i), "usr1", "print:ready "+strconv.Itoa(i))
	}
	l := suitetest.Launch("inner", append(play, "wait")...)
	l.StopGrace = 100 * time.Millisecond // a game that waits for the next round does not hear SIGINT
	if err := r.Start(ctx, l); err != nil {
		return err
	}
	defer r.Stop(ctx, "inner") // whatever went wrong, nothing may stay
	seen := func(text string) bool {
		rep.Lines = rep.Lines[:0]
		err := r.Logs(ctx, "inner", supervisor.LogOptions{Lines: rounds * 21000}, func(l supervisor.LogLine) error {
			if !strings.HasPrefix(l.Text, "flood") {
				rep.Lines = append(rep.Lines, l.Text)
			}
			return nil
		})
		return err == nil && strings.Contains(strings.Join(rep.Lines, "\n"), text)
	}
	ready := func(round int) bool {
		return suitetest.Poll(func() bool { return seen("ready " + strconv.Itoa(round)) })
	}
	if !ready(0) {
		return fmt.Errorf("the game is not ready")
	}
	i, err := r.Status(ctx, "inner")
	if err != nil {
		return err
	}
	for round := 1; round <= rounds && !seen("were lost here"); round++ {
		if err := fillDisk(r.Root, 16<<10); err != nil {
			return err
		}
		if err := syscall.Kill(i.PID, syscall.SIGUSR1); err != nil {
			return err
		}
		// The game's own sign that it came through the flood: its log did not block it.
		if !suitetest.Poll(func() bool { return comm(i.PID) == "flooded "+strconv.Itoa(round) }) {
			return fmt.Errorf("the game is stuck in its output")
		}
		if err := os.Remove(filepath.Join(r.Root, "runtime", "junk")); err != nil {
			return err
		}
		if err := syscall.Kill(i.PID, syscall.SIGUSR1); err != nil {
			return err
		}
		if !ready(round) {
			return fmt.Errorf("the log took no line after the disk had room again")
		}
	}
	return r.Stop(ctx, "inner")
}

func comm(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
