package steamsim

import (
	"os/exec"
	"syscall"
	"time"
)

// A game server may leave processes behind: plug-ins start helpers. These two
// play one that escaped into a session of its own, so that neither a signal to
// the process group nor waiting for the children ends it. It keeps standard
// output open, so that whoever reads to the end of that waits.
const (
	forkName   = "steamsim-fork"
	orphanName = "steamsim-orphan"
)

// leaveOrphan starts a process that starts another and ends.
func (s *server) leaveOrphan() {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{forkName}
	cmd.Stdout, cmd.Stderr = s.proc.Stdout, s.proc.Stderr
	if err := cmd.Run(); err != nil {
		s.printf("steamsim: no process to leave behind: %v\n", err)
	}
}

func runFork(p Process) int {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{orphanName}
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_, _ = p.Stderr.WriteString("steamsim: " + err.Error() + "\n")
		return 1
	}
	return 0
}

// runOrphan stays for an hour, so that a test that failed to reap it does not
// fill the machine.
func runOrphan() int {
	time.Sleep(time.Hour)
	return 0
}
