package confine

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Reaper collects every process that ends here, orphans too. Make one where this
// process is the first of its PID namespace.
type Reaper struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

// NewReaper begins to collect, for as long as the process lives.
func NewReaper() *Reaper {
	r := &Reaper{waiting: map[int]chan syscall.WaitStatus{}}
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	go func() { // lives as long as the process
		for range child {
			for r.collect() {
			}
		}
	}()
	return r
}

// collect reaps one ended process if there is one.
func (r *Reaper) collect() bool {
	// Held over the wait, so that Start has entered its process before its end
	// is looked up.
	r.mu.Lock()
	defer r.mu.Unlock()
	var ws syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
	if errors.Is(err, syscall.EINTR) {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if c := r.waiting[pid]; c != nil {
		c <- ws
		delete(r.waiting, pid)
	}
	return true
}

// Start runs a program and returns where its end will be told.
func (r *Reaper) Start(program string, argv []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(program, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	c := make(chan syscall.WaitStatus, 1)
	r.waiting[pid] = c
	return pid, c, nil
}

// KillRest kills every other process of the namespace and waits until none is
// left, or until one of them cannot be killed for five seconds.
func (r *Reaper) KillRest() {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if err := unix.Kill(-1, unix.SIGKILL); errors.Is(err, unix.ESRCH) {
			return
		}
		for r.collect() {
		}
		time.Sleep(time.Millisecond)
	}
}
