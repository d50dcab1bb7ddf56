package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// inside.go is the first process of a sandbox. It has no more rights than the
// script, but the script cannot touch it: it is process 1 of their PID namespace,
// and closed to others of its user. It runs the script, passes its lines and its
// way to the net on, and ends with everything when l4d2ctl is gone.

const (
	measureEvery = 500 * time.Millisecond
	endGrace     = 5 * time.Second // between SIGTERM and SIGKILL, when l4d2ctl asks for the end
	// A little more than the script's, so that a thread can still be made.
	initTasks = maxTasks + 128
)

// runInherited is the second stage of Rootless.
func runInherited() int {
	if err := unix.CloseRange(fdControl, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return ctl.ExitCode(err)
	}
	confine.SetName("build")
	return runWith(os.NewFile(fdControl, "control"))
}

// runUnit is the first process of left4me-build@ID.service.
func runUnit() int {
	conn, err := net.Dial("unix", insideIn+"/"+fileControl)
	if err != nil {
		fmt.Fprintln(os.Stderr, "build-exec: l4d2ctl is not there:", err)
		return ctl.ExitCode(ctl.ErrNotFound)
	}
	return runWith(conn)
}

// inside is the state of that process.
type inside struct {
	w    *wire
	out  *os.File
	reap *confine.Reaper
	talk *talk

	stop     chan struct{} // closed when the script is to end
	stopOnce sync.Once
}

func runWith(conn interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	Close() error
},
) int {
	i := &inside{w: newWire(conn), stop: make(chan struct{})}
	if err := i.run(); err != nil {
		_ = i.w.send(report{Is: isFailed, Code: ctl.ExitCode(err), Text: err.Error()}) // else nobody is there to hear it
		return ctl.ExitCode(err)
	}
	return 0
}

func (i *inside) run() error {
	if err := i.close(); err != nil {
		return err
	}
	var o order
	if err := i.w.receive(&o); err != nil {
		return fail(ctl.ErrInternal, "the sandbox was given no orders (%v)", err)
	}
	go i.obey() // lives as long as the process
	var err error
	if i.out, err = openDir(unix.AT_FDCWD, insideOut); err != nil {
		return fmt.Errorf("open the build's output: %w", err)
	}
	// Left by a run that was killed, if there.
	if err := empty(i.out); err != nil {
		return fmt.Errorf("clear the build's output: %w", err)
	}
	if o.Do == doClean {
		return i.w.send(report{Is: isEnded})
	}
	l, err := net.Listen("tcp4", "127.0.0.1:"+proxyPort)
	if err != nil {
		return fmt.Errorf("prepare the sandbox's network: %w", err)
	}
	go relay(fewer(l, maxConns)) // lives as long as the process
	i.talk = newTalk(func(stream ctl.Stream, text string) {
		if i.w.send(report{Is: isLine, Stream: stream, Text: text}) != nil {
			i.requestStop()
		}
	})
	if _, err := os.Stat("/proc/self"); err != nil {
		i.talk.line(ctl.StreamCtl, "The kernel allows no /proc in this container: programs that need it, and <(…) of bash, do not work.")
	}
	return i.script(o)
}

// close shuts this process to the script and bounds both.
func (i *inside) close() error {
	if err := confine.Hide(); err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	go func() { // lives as long as the process
		<-term
		i.abandon()
	}()
	// Caught and dropped, not ignored: the script would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	unix.Umask(0o007)
	for what, most := range map[int]uint64{
		unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 1024, unix.RLIMIT_NPROC: initTasks, unix.RLIMIT_MEMLOCK: 1 << 20,
	} {
		if err := confine.Limit(what, most); err != nil {
			return err
		}
	}
	i.reap = confine.NewReaper()
	return forbidCalls()
}

// obey waits for l4d2ctl to ask for the end, or to be gone.
func (i *inside) obey() {
	for {
		var o order
		if err := i.w.receive(&o); err != nil {
			i.abandon()
		}
		if o.Do == doStop {
			i.requestStop()
		}
	}
}

func (i *inside) requestStop() { i.stopOnce.Do(func() { close(i.stop) }) }

// abandon ends everything at once.
func (i *inside) abandon() {
	killAll(unix.SIGKILL)
	os.Exit(ctl.ExitCode(ctl.ErrCancelled))
}

// killAll sends a signal to every other process of the namespace. Without one of
// its own, under an older systemd, the unit's end does it.
func killAll(sig syscall.Signal) {
	if os.Getpid() == 1 {
		_ = unix.Kill(-1, sig) // none left is what we want
	}
}

// script runs it and reports how it ended.
func (i *inside) script(o order) error {
	pid, exited, readers, err := i.start(o)
	if err != nil {
		return err
	}
	measured := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(measured)
		i.measureUntil(finished, o.Limits)
	}()
	ws := i.await(pid, exited)
	if os.Getpid() == 1 {
		i.reap.KillRest()
	}
	close(finished)
	<-measured
	readers.Wait()
	i.talk.end()
	// A last look: the script may have been quicker than the one before.
	if u := measure(i.rewound(), o.Limits); u.limit != "" {
		return i.w.send(report{Is: isLimit, Limit: u.limit})
	}
	if err := release(i.rewound()); err != nil {
		return fmt.Errorf("open the build's output: %w", err)
	}
	code := ws.ExitStatus()
	if ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	return i.w.send(report{Is: isEnded, Code: code})
}

// rewound is the output's folder, to be read from its beginning.
func (i *inside) rewound() *os.File {
	_, _ = i.out.Seek(0, 0) // a folder can always be read again
	return i.out
}

// start starts bash with its limits; readers is done when its output is at its end.
func (i *inside) start(o order) (pid int, exited <-chan syscall.WaitStatus, readers *sync.WaitGroup, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("open the script's input: %w", err)
	}
	defer null.Close() // read only
	readers = &sync.WaitGroup{}
	files := []uintptr{null.Fd()}
	for _, stream := range []ctl.Stream{ctl.StreamOut, ctl.StreamErr} {
		r, w, err := os.Pipe()
		if err != nil {
			return 0, nil, nil, fmt.Errorf("make the script's output: %w", err)
		}
		defer w.Close() // the script has its own
		files = append(files, w.Fd())
		readers.Go(func() {
			copyLines(r, func(text string) { i.talk.line(stream, text) })
			_ = r.Close() // at its end
		})
	}
	gate, open, err := os.Pipe()
	if err != nil {
		return 0, nil, nil, fmt.Errorf("make the script's gate: %w", err)
	}
	defer open.Close() // without a word, when something failed: bash ends
	defer gate.Close() // bash has its own
	const bash = "/bin/bash"
	pid, exited, err = i.reap.Start(bash, []string{"bash", "-c", waitAtGate}, &syscall.ProcAttr{
		Dir: insideOut, Env: o.Env, Files: append(files, gate.Fd()), Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil, fail(ctl.ErrNotInstalled, "bash is missing, which scripts are run by: as root run: apt-get install bash")
	}
	if err != nil {
		return 0, nil, nil, fmt.Errorf("start bash: %w", err)
	}
	for what, most := range map[int]uint64{
		unix.RLIMIT_NPROC: uint64(o.Tasks), unix.RLIMIT_FSIZE: uint64(o.Limits.Disk),
		// Of one program, for one that is quicker than whoever adds them all up.
		unix.RLIMIT_DATA: 2 * uint64(o.Limits.Memory),
	} {
		if err := unix.Prlimit(pid, what, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil && !errors.Is(err, unix.ESRCH) {
			return 0, nil, nil, fmt.Errorf("limit the script: %w", err)
		}
	}
	if _, err := open.WriteString("go\n"); err != nil {
		return 0, nil, nil, fmt.Errorf("start the script: %w", err)
	}
	runtime.KeepAlive(null)
	return pid, exited, readers, nil
}

// waitAtGate keeps bash from the script until its limits hold: set on this process,
// they would hit our own threads.
const waitAtGate = `read -r -u 3 && exec 3<&- && exec /bin/bash ` + insideIn + "/" + fileScript

// await waits for the script's end; when it is to be stopped, with a grace.
func (i *inside) await(pid int, exited <-chan syscall.WaitStatus) syscall.WaitStatus {
	select {
	case ws := <-exited:
		return ws
	case <-i.stop:
	}
	killAll(unix.SIGTERM)
	_ = unix.Kill(-pid, unix.SIGTERM) // where that did nothing
	select {
	case ws := <-exited:
		return ws
	case <-time.After(endGrace):
	}
	killAll(unix.SIGKILL)
	_ = unix.Kill(-pid, unix.SIGKILL) // as above
	return <-exited
}

// measureUntil looks at what the output takes again and again. A look that takes
// long is not followed by another at once.
func (i *inside) measureUntil(finished <-chan struct{}, l Limits) {
	pause := measureEvery
	for {
		select {
		case <-finished:
			return
		case <-time.After(pause):
		}
		begun := time.Now()
		u := measure(i.rewound(), l)
		if u.limit == "" && freeBytes(insideOut) < freeFloor {
			u.limit = limitFree
		}
		if u.limit != "" {
			_ = i.w.send(report{Is: isLimit, Limit: u.limit}) // else nobody is there, and the end is near
			i.abandonAfter(endGrace)
			return
		}
		if i.w.send(report{Is: isUse, Bytes: u.bytes, Tmp: usedBytes("/tmp")}) != nil {
			i.requestStop()
		}
		pause = max(measureEvery, 4*time.Since(begun))
	}
}

// abandonAfter is for an l4d2ctl that does not kill us as it should.
func (i *inside) abandonAfter(d time.Duration) {
	killAll(unix.SIGKILL)
	time.AfterFunc(d, i.abandon)
}

func freeBytes(path string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return math.MaxInt64 // not known, so no reason to end
	}
	return int64(min(st.Bavail, math.MaxInt64/uint64(st.Bsize))) * st.Bsize
}

// usedBytes is what a tmpfs holds in memory; 0 when path is on a disk.
func usedBytes(path string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil || st.Type != unix.TMPFS_MAGIC {
		return 0
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize
}

// relay passes connections on to the proxy outside.
func relay(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			time.Sleep(50 * time.Millisecond) // out of descriptors, say; it passes
			continue
		}
		go func() { // ends with the connections
			defer near.Close() // both directions are over
			far, err := net.Dial("unix", insideIn+"/"+fileProxy)
			if err != nil {
				return
			}
			defer far.Close() // see above
			join(near, near, far)
		}()
	}
}
