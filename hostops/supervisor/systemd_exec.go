package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// systemd_exec.go is the first process inside left4me-server@NAME.service: a
// small init of the unit's PID namespace. It does not become the game, because
// the engine writes its console in blocks unless it has a terminal, a process
// that is PID 1 is deaf to signals it has no handler for, and somebody must
// collect the game's orphans. It runs as the game's user and has no privilege.

// fileLaunch is what the unit is to run, in instances/NAME. The game can read it.
const fileLaunch = "launch.json"

// launchFile is its content.
type launchFile struct {
	Argv      []string      `json:"argv"`
	Env       []string      `json:"env"`
	StopGrace time.Duration `json:"stop_grace"` // nanoseconds
}

// RunGame is the command `exec NAME` of the server's unit: it runs the instance
// below root as its launch file says, until the game ends or a signal asks for the
// end, and returns the game's exit code, 128+n for signal n. SIGTERM is passed on
// to the game as SIGINT; SIGINT is not, because systemd sends it to the game as
// well. What the game prints becomes lines on standard output.
func RunGame(root string, args []string) int {
	i := &unitInit{root: root, notify: os.Getenv("NOTIFY_SOCKET")}
	code, err := i.run(args)
	if err != nil {
		i.tell("STATUS=" + strings.ReplaceAll(err.Error(), "\n", " "))
		printer{}.note("The game could not be started: " + err.Error())
	}
	return code
}

// signalDelay is how long a signal that was sent before a game's end may still be
// on its way to us.
const signalDelay = 250 * time.Millisecond

type unitInit struct {
	root   string
	notify string // path of systemd's notification socket, empty without systemd
}

func (i *unitInit) run(args []string) (int, error) {
	// Of the same user as the game, which must not look into this process.
	if err := confine.Hide(); err != nil {
		return ctl.ExitCode(err), err
	}
	stop := make(chan os.Signal, 4)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	// Caught and dropped, not ignored: the game would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT)
	l, err := i.launch(args)
	if err != nil {
		return ctl.ExitCode(err), err
	}
	g, err := i.start(l)
	if err != nil {
		return ctl.ExitCode(err), err
	}
	defer g.close()
	i.tell("READY=1\nSTATUS=The game's process is up.")
	var ws syscall.WaitStatus
	select {
	case ws = <-g.exited:
		// systemd tells the whole unit to end, this process first: a game that obeyed
		// at once may be seen before our own signal has come through.
		select {
		case <-stop:
		case <-time.After(signalDelay):
			return g.ended(ws), nil
		}
	case sig := <-stop:
		if sig == syscall.SIGINT {
			ws = g.insist(l.StopGrace, printer{}.note)
		} else {
			ws = g.end(l.StopGrace, printer{}.note)
		}
	}
	g.drain()
	return exitOf(ws).Code, nil
}

// launch reads and checks the orders. Root would be a unit that was tampered with.
func (i *unitInit) launch(args []string) (launchFile, error) {
	var l launchFile
	if len(args) != 1 {
		return l, fail(ctl.ErrUsage, "usage: l4d2ctl exec NAME; only the unit left4me-server@NAME.service calls it")
	}
	if err := ctl.CheckName(args[0]); err != nil {
		return l, err
	}
	if os.Geteuid() == 0 {
		return l, fail(ctl.ErrRoot, "a game server is never run as root: the unit must have a User= line")
	}
	file := filepath.Join(i.root, "instances", args[0], fileLaunch)
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return l, fail(ctl.ErrNotFound, "the server's launch file cannot be read (%w); start it with: l4d2ctl start %s", err, args[0])
	}
	defer f.Close() // read only; nothing can be lost
	dec := json.NewDecoder(io.LimitReader(f, 1<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return l, fail(ctl.ErrBadSpec, "the server's launch file is damaged (%w); start it again with: l4d2ctl start %s", err, args[0])
	}
	err = checkLaunch(Launch{Name: args[0], Layers: []string{"installation"}, Argv: l.Argv, Env: l.Env})
	if err == nil {
		err = os.Chdir(filepath.Join(i.root, "runtime", args[0], dirMerged))
	}
	return l, err
}

// start runs the game on a terminal of its own and copies its lines to ours.
func (i *unitInit) start(l launchFile) (*game, error) {
	master, slave, err := openTerminal("/dev/ptmx") // the one below /dev/pts is closed on most hosts
	if err != nil {
		return nil, err
	}
	defer slave.Close() // the game has its own
	null, err := os.Open(os.DevNull)
	if err != nil {
		_ = master.Close() // nothing was written
		return nil, fmt.Errorf("open the game's input: %w", err)
	}
	defer null.Close() // read only
	program := l.Argv[0]
	argv := append([]string{}, l.Argv...)
	if !strings.Contains(program, "/") {
		program = "./" + program // as srcds_run does: the engine takes its folder from it
		argv[0] = program
	}
	attr := &syscall.ProcAttr{
		Env: l.Env, Files: []uintptr{null.Fd(), slave.Fd(), slave.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true},
	}
	pid, exited, err := startConfined(confine.NewReaper(), program, argv, attr)
	if err != nil {
		_ = master.Close() // nothing was written
		return nil, startFailure(l.Argv[0], program, err)
	}
	g := &game{pid: pid, pidfd: -1, exited: exited, pty: master, output: make(chan struct{})}
	go func() { // ends when the last process has closed the terminal, or by drain
		defer close(g.output)
		copyLines(master, printer{}.add)
	}()
	return g, nil
}

// startConfined starts the program on a thread that has given up what the game
// must not open; this process's other threads keep it.
func startConfined(r *confine.Reaper, program string, argv []string, attr *syscall.ProcAttr) (pid int, exited <-chan syscall.WaitStatus, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err = hideTerminals(); errors.Is(err, errNoLandlock) {
			printer{}.note("Other servers' terminals cannot be hidden from this one: " + err.Error() + ".")
			err = nil
		}
		if err == nil {
			pid, exited, err = r.Start(program, argv, attr)
		}
	}()
	<-done
	return pid, exited, err
}

// ended is the way of a game that nobody asked to end.
func (g *game) ended(ws syscall.WaitStatus) int {
	g.drain()
	exit := exitOf(ws)
	if exit.Code == 0 {
		printer{}.note("The game ended by itself, without an error.")
	} else {
		printer{}.note(fmt.Sprintf("The game ended with %s; it is started again, unless that happened too often.", describe(exit)))
	}
	return exit.Code
}

func exitOf(ws syscall.WaitStatus) ctl.Exit {
	e := ctl.Exit{At: time.Now().UTC(), Code: ws.ExitStatus()}
	if ws.Signaled() {
		e.Code, e.Signal = 128+int(ws.Signal()), unix.SignalName(ws.Signal())
	}
	return e
}

// tell sends systemd a notification. One that is not listening is no failure: by
// hand the program runs without it.
func (i *unitInit) tell(message string) {
	if i.notify == "" {
		return
	}
	c, err := net.Dial("unixgram", i.notify)
	if err != nil {
		return
	}
	_, _ = c.Write([]byte(message)) // see above
	_ = c.Close()                   // see above
}

// printer writes lines to the journal, which would drop empty ones.
type printer struct{}

func (printer) add(text string) {
	if text == "" {
		text = " "
	}
	_, _ = os.Stdout.WriteString(text + "\n") // a journal that is gone must not end the game
}

func (p printer) note(text string) { p.add(noteMark + text) }
