package supervisor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// keeper.go is the keeper's second stage: a small init that runs the game, and
// nothing that could not be done without any privilege. It lives as long as the
// server is meant to run; with it die all processes of the namespace and the
// mounts.

// keeper is the state of that process.
type keeper struct {
	o     orders
	run   *runDir
	log   *logWriter
	reap  *confine.Reaper
	ready *os.File

	stop     chan struct{} // closed when somebody asked for the end
	stopOnce sync.Once
	stopWhy  string // set before stop is closed; empty when l4d2ctl asked

	mu   sync.Mutex
	now  record // what "status" answers
	game *game  // nil between two runs
}

// keep runs the second stage. The arguments are descriptor numbers.
func keep(runArg, listenArg string) int {
	runFD, err1 := strconv.Atoi(runArg)
	listenFD, err2 := strconv.Atoi(listenArg)
	if err1 != nil || err2 != nil {
		return ctl.ExitCode(ctl.ErrUsage)
	}
	// The game gets none of our descriptors.
	if err := unix.CloseRange(fdOrders, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return ctl.ExitCode(err)
	}
	k := &keeper{
		run:   &runDir{os.NewFile(uintptr(runFD), "run")},
		reap:  confine.NewReaper(),
		ready: os.NewFile(fdReady, "ready"),
		stop:  make(chan struct{}),
	}
	if err := k.begin(listenFD); err != nil {
		sendReport(k.ready, err)
		fmt.Fprintln(os.Stderr, "keeper:", err)
		return ctl.ExitCode(err)
	}
	k.live()
	return 0
}

// begin does what must be done before the first start of the game.
func (k *keeper) begin(listenFD int) error {
	// The game is of the same user. It must not look into this process, whose
	// descriptors lead out of its view.
	if err := confine.Hide(); err != nil {
		return err
	}
	confine.SetName("keeper")
	// Caught and dropped, not ignored: the game would inherit that, and be deaf
	// to the SIGINT that ends it. This also undoes what a nohup before us ignored.
	deaf := make(chan os.Signal, 1)
	signal.Notify(deaf, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGALRM,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM) // lives as long as the process
	go func() {
		<-term
		k.requestStop("The keeper was asked to end by SIGTERM, as when the machine shuts down.")
	}()
	var err error
	if k.o, err = readOrders(fdOrders); err != nil {
		return err
	}
	if err := setLimits(); err != nil {
		return err
	}
	logDir, err := openBeneath(fdOf(k.run.dir), dirLog, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	if k.log, err = openLog(logDir, k.o.LogBytes, k.o.LogSegments); err != nil {
		return err
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		k.log.note("The kernel allows no /proc of its own for this server, as in some containers: the game sees only a few files of it, and its memory is not known.")
	}
	applied := k.o.Applied
	k.now = record{State: ctl.ServerStarting, Since: time.Now().UTC(), Applied: &applied}
	l, err := net.FileListener(os.NewFile(uintptr(listenFD), fileSocket))
	if err != nil {
		return fmt.Errorf("listen on the control socket: %w", err)
	}
	go k.serve(l) // lives as long as the process
	return nil
}

// requestStop asks the main loop to end. The first reason wins.
func (k *keeper) requestStop(why string) {
	k.stopOnce.Do(func() {
		k.stopWhy = why
		close(k.stop)
	})
}

func (k *keeper) stopping() bool {
	select {
	case <-k.stop:
		return true
	default:
		return false
	}
}

// live starts the game again and again as its policy says, and returns when the
// server is to be down.
func (k *keeper) live() {
	var starts []time.Time
	for first := true; ; first = false {
		starts = append(starts, time.Now())
		exit, err := k.runOnce(first)
		if err != nil {
			k.finish(ctl.ServerFailed, "The game could not be started: "+err.Error())
			if first {
				sendReport(k.ready, err)
			}
			return
		}
		if k.stopping() {
			k.finish(ctl.ServerStopped, k.stopWhy)
			return
		}
		if exit.Code == 0 {
			k.finish(ctl.ServerStopped, "The game ended by itself, without an error.")
			return
		}
		starts = recent(starts, k.o.Restart.Window)
		if len(starts) >= k.o.Restart.Limit {
			k.finish(ctl.ServerFailed, k.gaveUp(exit, len(starts)))
			return
		}
		if !k.pause(exit, len(starts)) {
			k.finish(ctl.ServerStopped, k.stopWhy)
			return
		}
	}
}

// recent drops what is older than window; without a window nothing is.
func recent(starts []time.Time, window time.Duration) []time.Time {
	for window > 0 && len(starts) > 0 && time.Since(starts[0]) > window {
		starts = starts[1:]
	}
	return starts
}

func (k *keeper) gaveUp(e ctl.Exit, n int) string {
	if k.o.Restart.Limit <= 1 {
		return fmt.Sprintf("The game ended with %s and is not started again.", describe(e))
	}
	within := ""
	if k.o.Restart.Window > 0 {
		within = " within " + inWords(k.o.Restart.Window)
	}
	return fmt.Sprintf("The game was started %d times%s and ended each time, lastly with %s; it is not started again. Its log shows why.", n, within, describe(e))
}

// describe names an exit for people.
func describe(e ctl.Exit) string {
	if e.Signal != "" {
		return "signal " + e.Signal
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// pause waits before the next start; false when the server was stopped meanwhile.
func (k *keeper) pause(e ctl.Exit, n int) bool {
	text := fmt.Sprintf("The game ended with %s; it is started again in %s (start %d of %d).", describe(e), k.o.Restart.Delay, n+1, k.o.Restart.Limit)
	k.set(func(r *record) {
		r.State, r.Since, r.Message = ctl.ServerStarting, time.Now().UTC(), text
		r.Restarts++
	})
	k.log.note(text)
	k.save()
	select {
	case <-k.stop:
		return false
	case <-time.After(k.o.Restart.Delay):
		return true
	}
}

// runOnce starts the game, waits for its end and clears away all that it left.
func (k *keeper) runOnce(first bool) (ctl.Exit, error) {
	g, err := startGame(k.o, k.reap, k.log)
	if err != nil {
		return ctl.Exit{}, err
	}
	k.mu.Lock()
	k.game = g
	k.now.State, k.now.Since, k.now.Message = ctl.ServerRunning, time.Now().UTC(), ""
	k.mu.Unlock()
	k.save()
	if first {
		sendReport(k.ready, nil)
		_ = k.ready.Close() // the caller has read all there will be
	}
	var ws syscall.WaitStatus
	select {
	case ws = <-g.exited:
	case <-k.stop:
		k.set(func(r *record) { r.State, r.Since, r.Message = ctl.ServerStopping, time.Now().UTC(), "" })
		k.save()
		ws = g.end(k.o.StopGrace, k.log.note)
	}
	exit := exitOf(ws)
	k.mu.Lock()
	k.game = nil
	k.now.Exit = &exit
	k.mu.Unlock()
	g.close()
	k.reap.KillRest()
	g.drain()
	return exit, nil
}

func (k *keeper) set(change func(*record)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.now)
}

// save writes the record. A full disk must not end a running game, so a failure
// is only noted.
func (k *keeper) save() {
	k.mu.Lock()
	r := k.now
	k.mu.Unlock()
	if err := k.run.writeRecord(r); err != nil {
		k.log.note("The state of the server could not be recorded: " + err.Error())
	}
}

// finish records the end and closes the log. The process ends right after.
func (k *keeper) finish(state ctl.ServerState, message string) {
	k.set(func(r *record) {
		r.State, r.Since, r.Message = state, time.Now().UTC(), message
		if state == ctl.ServerStopped {
			r.Applied = nil
		}
	})
	if message != "" {
		k.log.note(message)
	}
	k.log.close()
	k.save()
	_ = unix.Unlinkat(fdOf(k.run.dir), fileSocket, 0) // a stale one would do no harm
}

// serve answers on the control socket.
func (k *keeper) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(50 * time.Millisecond) // out of descriptors, say; it passes
			continue
		}
		go k.answer(c) // bounded by its deadline
	}
}

func (k *keeper) answer(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second)) // cannot fail on a socket just accepted
	var q wireRequest
	line, err := bufio.NewReaderSize(c, 4096).ReadSlice('\n')
	if err != nil || json.Unmarshal(line, &q) != nil {
		return
	}
	if q.Do == "stop" {
		k.requestStop("")
	}
	k.mu.Lock()
	s := wireStatus{record: k.now, Grace: k.o.StopGrace.Milliseconds()}
	g := k.game
	k.mu.Unlock()
	s.Memory, s.CPU = namespaceUse()
	var rights []byte
	if g != nil && g.pidfd >= 0 {
		rights = unix.UnixRights(g.pidfd)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return
	}
	_, _, _ = u.WriteMsgUnix(encodeLine(s), rights, nil) // whoever asked has gone; nothing to tell
}
