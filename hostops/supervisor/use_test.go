package supervisor

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestProcessUse(t *testing.T) {
	t.Parallel()
	deadline := time.Now().Add(time.Minute)
	for _, cpu := processUse(os.Getpid()); cpu == 0; _, cpu = processUse(os.Getpid()) { // reading it costs some
		if time.Now().After(deadline) {
			t.Fatal("a minute of work was not counted")
		}
	}
	if memory, _ := processUse(os.Getpid()); memory < 1<<20 {
		t.Errorf("this process has %d bytes", memory)
	}
	gone := exec.Command("/bin/true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if memory, cpu := processUse(gone.Process.Pid); memory != 0 || cpu != 0 {
		t.Errorf("a process that is gone has %d bytes and used %s", memory, cpu)
	}
}
