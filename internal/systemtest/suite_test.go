//go:build system

package systemtest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"left4me/hostops/supervisor/suitetest"
)

// suitePolicy is the restart policy that the suite's launches ask for. Under
// systemd it stands in the unit.
var suitePolicy = map[string]string{
	"left4me-server@.service":        "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=3\n[Service]\nRestartSec=1ms\n",
	"left4me-server@between.service": "[Service]\nRestartSec=1h\n",
	"left4me-server@once.service":    "[Service]\nRestart=no\n",
}

func TestSupervisorSuite(t *testing.T) {
	if os.Getenv(envUser) == "" {
		addDropIns(t, suitePolicy)
	}
	if again(t) {
		return
	}
	addGame(t)
	suitetest.Run(t, func(t *testing.T) suitetest.Env {
		s := systemd()
		known, err := filepath.Glob(filepath.Join(stateRoot, "runtime", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range known {
			if err := s.Purge(context.Background(), filepath.Base(path)); err != nil {
				t.Errorf("purge what an earlier test left: %v", err)
			}
		}
		return suitetest.Env{Supervisor: s, Root: stateRoot, Once: "once", GameUID: uidOf(t, "l4d2")}
	})
}
