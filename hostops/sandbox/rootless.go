package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
)

// Rootless runs scripts in namespaces that this user makes for itself: user,
// mount, PID, network, IPC, UTS and cgroup. When the first process inside ends,
// and it ends with this one, the kernel takes the rest with it.
type Rootless struct {
	// Root is the state root.
	Root string
	// Self is a program and its first arguments that end in RunInside. Empty means
	// this program's `build-exec` command.
	Self []string
	// Dialer reaches the net for scripts; what it trusts, they may reach.
	Dialer *fetch.Dialer
}

var _ Runner = (*Rootless)(nil)

// setupCaps are what the first stage needs inside its own namespaces: mounts, a
// loopback that is up, an empty bounding set, and no further namespaces.
var setupCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETPCAP, unix.CAP_SYS_RESOURCE}

// Run implements Runner.
func (r *Rootless) Run(ctx context.Context, b Build) (o Outcome, err error) {
	if err := b.check(); err != nil {
		return o, err
	}
	if os.Geteuid() == 0 {
		return o, fail(ctl.ErrRoot, "a script is never run as root; build as an ordinary user, such as: runuser -u left4me -- l4d2ctl overlay build %s -f overlay.yaml", b.ID)
	}
	if ctx.Err() != nil {
		return o, cancelled(ctx)
	}
	if b.Previous != "" {
		if b.Previous, err = filepath.EvalSymlinks(b.Previous); err != nil {
			return o, fmt.Errorf("find the version before: %w", err)
		}
	}
	f, err := openFolder(r.Root, b.ID)
	if err != nil {
		return o, err
	}
	defer f.close()
	defer func() {
		if rerr := f.remove(); err == nil && rerr != nil {
			err = rerr
		}
	}()
	if err := f.fill(b, os.Getuid()); err != nil {
		return o, err
	}
	s := newSession(b, f, r.Dialer)
	l, err := f.listen(fileProxy)
	if err != nil {
		return o, err
	}
	go s.proxy.serve(l) // ends with the session, which closes it
	p, err := r.start(b, f)
	if err != nil {
		s.proxy.close()
		_ = l.Close() // nobody came
		return o, err
	}
	return s.run(ctx, p)
}

// Sweep implements Runner.
func (r *Rootless) Sweep(ctx context.Context) error {
	list, err := ids(r.Root)
	if err != nil {
		return err
	}
	for _, id := range list {
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		f, err := openFolder(r.Root, id)
		if errors.Is(err, ctl.ErrBusy) {
			continue
		}
		if err != nil {
			return err
		}
		err = f.remove()
		f.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// start makes the sandbox's first process and tells it what to build.
func (r *Rootless) start(b Build, f *folder) (*process, error) {
	info, err := f.dir.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at the build's folder: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fail(ctl.ErrInternal, "the build's folder has no number")
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close() // the child has its own
	cmd := r.command(b.ID)
	cmd.ExtraFiles = []*os.File{theirs, f.dir} // fdControl; the lock lasts as long as the sandbox does
	said := &words{}
	cmd.Stdout, cmd.Stderr = said, said
	p := &process{conn: ours, done: make(chan struct{}), why: func() string { return "" }}
	started := make(chan error)
	go func() { // ends with the sandbox
		// The signal at the parent's death is about the thread that forked.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its last report
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		_ = ours.Close() // nobody is there
		if why := confine.NoNamespaces(err, confine.ReadKnobs()); why != "" {
			return nil, fail(ctl.ErrNoNamespaces, "scripts cannot be run without root here: %s", why)
		}
		return nil, fmt.Errorf("start the sandbox: %w", err)
	}
	p.kill = func() { _ = cmd.Process.Kill() } // gone already is what we want
	w := newWire(ours)
	if err := w.send(order{Do: doView, Folder: f.path, Dev: st.Dev, Ino: st.Ino, Previous: b.Previous}); err != nil {
		p.kill()
		<-p.done
		_ = ours.Close() // nobody is there
		return nil, fail(ctl.ErrInternal, "the sandbox ended before it began: %s", said)
	}
	return p, nil
}

func (r *Rootless) command(id string) *exec.Cmd {
	self := r.Self
	if len(self) == 0 {
		self = []string{"/proc/self/exe", "build-exec"}
	}
	cmd := exec.Command(self[0], append(append([]string{}, self[1:]...), id, argSetUp)...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	uid, gid := os.Getuid(), os.Getgid()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:    true, // it is ended by us, not by our terminal
		Pdeathsig: unix.SIGKILL,
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: setupCaps,
	}
	return cmd
}

// socketPair makes a connected pair; theirs is for a child.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket to the sandbox: %w", err)
	}
	mine := os.NewFile(uintptr(fds[0]), "control")
	theirs = os.NewFile(uintptr(fds[1]), "control")
	ours, err = net.FileConn(mine)
	_ = mine.Close() // FileConn has its own
	if err != nil {
		_ = theirs.Close() // nothing was sent
		return nil, nil, fmt.Errorf("make a socket to the sandbox: %w", err)
	}
	return ours, theirs, nil
}

// words keeps the beginning of what a process says on standard error.
type words struct{ text strings.Builder }

func (w *words) Write(b []byte) (int, error) {
	if room := 4096 - w.text.Len(); room > 0 {
		w.text.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

func (w *words) String() string {
	if s := strings.TrimSpace(w.text.String()); s != "" {
		return s
	}
	return "it said nothing"
}
