package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// Limits of the game. NPROC counts the tasks of this server only: the count of
// a user namespace is its own. The keeper's is higher, so that it can still make
// a thread when the game has used up its share.
const (
	limitFiles  = 65536
	limitTasks  = 1024
	keeperTasks = limitTasks + 128
)

// setLimits bounds this process and so the game.
func setLimits() error {
	for _, l := range []struct {
		what int
		max  uint64
	}{{syscall.RLIMIT_CORE, 0}, {syscall.RLIMIT_NOFILE, limitFiles}, {unix.RLIMIT_NPROC, keeperTasks}} {
		if err := confine.Limit(l.what, l.max); err != nil {
			return err
		}
	}
	return nil
}

// game is one run of the game's process.
type game struct {
	pid    int // in the keeper's namespace
	pidfd  int // -1 when the kernel gave none
	exited <-chan syscall.WaitStatus
	pty    *os.File
	output chan struct{} // closed when the terminal has nothing more to say
}

// startGame runs the program over a terminal of its own: the engine writes its
// console in blocks of 4 KiB to anything else.
func startGame(o orders, reap *confine.Reaper, log *logWriter) (*game, error) {
	merged := filepath.Join(o.Root, "runtime", o.Name, dirMerged)
	program := filepath.Join(merged, o.Argv[0])
	master, slave, err := openTerminal("/dev/pts/ptmx") // of the keeper's own /dev
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		_ = master.Close() // nothing was written
		return nil, fmt.Errorf("open the game's input: %w", err)
	}
	defer null.Close()
	argv := append([]string{}, o.Argv...)
	if !strings.Contains(argv[0], "/") {
		argv[0] = "./" + argv[0] // as srcds_run does: the engine takes its folder from it
	}
	attr := &syscall.ProcAttr{
		Dir: merged, Env: o.Env,
		Files: []uintptr{null.Fd(), slave.Fd(), slave.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	pid, exited, err := reap.Start(program, argv, attr)
	if err != nil {
		_ = master.Close() // nothing was written
		return nil, startFailure(o.Argv[0], program, err)
	}
	tasks := unix.Rlimit{Cur: limitTasks, Max: limitTasks}
	if err := unix.Prlimit(pid, unix.RLIMIT_NPROC, &tasks, nil); err != nil && !errors.Is(err, unix.ESRCH) {
		log.note("The number of the game's processes could not be limited: " + err.Error())
	}
	g := &game{pid: pid, exited: exited, pty: master, output: make(chan struct{})}
	if g.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		g.pidfd = -1 // it ended already; the run goes its usual way
	}
	go func() { // ends when the last process has closed the terminal, or by drain
		defer close(g.output)
		copyLines(master, log.add)
	}()
	return g, nil
}

// startFailure explains why the program could not be executed.
func startFailure(name, path string, err error) error {
	_, serr := os.Stat(path)
	switch {
	case errors.Is(serr, os.ErrNotExist):
		return fail(ctl.ErrNotInstalled, "%s is missing among the server's files (%w): install the game, then start again", name, serr)
	case errors.Is(err, syscall.ENOENT):
		return fail(ctl.ErrGameFailed, "%s is there but the program loader it asks for is not: the 32-bit libraries are missing; as root run: apt-get update && apt-get install libc6-i386 lib32gcc-s1 lib32stdc++6", name)
	case errors.Is(err, syscall.EACCES):
		return fail(ctl.ErrGameFailed, "%s may not be executed (%w): install the game again, or mend the mode of the file in the overlay that replaces it", name, err)
	case errors.Is(err, syscall.ENOEXEC):
		return fail(ctl.ErrGameFailed, "%s is not a program that this machine can run (%w): install the game again, or remove it from the overlay that replaces it", name, err)
	}
	return fail(ctl.ErrGameFailed, "%s could not be started: %w", name, err)
}

// end asks the game to end and insists after grace.
func (g *game) end(grace time.Duration, note func(string)) syscall.WaitStatus {
	if err := unix.Kill(g.pid, unix.SIGINT); err != nil {
		grace = 0 // gone already, most likely
	}
	return g.insist(grace, note)
}

// insist kills a game that was asked to end and has not within grace.
func (g *game) insist(grace time.Duration, note func(string)) syscall.WaitStatus {
	if grace > 0 {
		select {
		case ws := <-g.exited:
			return ws
		case <-time.After(grace):
			note(fmt.Sprintf("The game did not end within %s and is killed.", grace))
		}
	}
	_ = unix.Kill(g.pid, unix.SIGKILL) // gone already is what we want
	return <-g.exited
}

func (g *game) close() {
	if g.pidfd >= 0 {
		_ = unix.Close(g.pidfd) // a process descriptor; nothing can be lost
		g.pidfd = -1
	}
}

// drain waits for the last output and closes the terminal.
func (g *game) drain() {
	select {
	case <-g.output:
	case <-time.After(2 * time.Second): // a process that cannot be killed holds the terminal
	}
	_ = g.pty.Close() // read only; ends the reader in any case
	<-g.output
}

// openTerminal makes a pseudo-terminal that passes bytes on unchanged.
func openTerminal(ptmx string) (master, slave *os.File, err error) {
	fd, err := unix.Open(ptmx, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a terminal for the game: %w", err)
	}
	master = os.NewFile(uintptr(fd), "console")
	sfd, err := unlockTerminal(fd)
	if err != nil {
		_ = master.Close() // nothing was written
		return nil, nil, fmt.Errorf("prepare a terminal for the game: %w", err)
	}
	return master, os.NewFile(uintptr(sfd), "terminal"), nil
}

// unlockTerminal opens the other end of the terminal at fd. With OPOST off no
// line end becomes two bytes.
func unlockTerminal(fd int) (int, error) {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return -1, err
	}
	// By descriptor, not by name: TIOCGPTPEER takes the open flags by value.
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	t, err := unix.IoctlGetTermios(int(peer), unix.TCGETS)
	if err == nil {
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
		err = unix.IoctlSetTermios(int(peer), unix.TCSETS, t)
	}
	if err != nil {
		_ = unix.Close(int(peer)) // nothing was written
		return -1, err
	}
	return int(peer), nil
}
