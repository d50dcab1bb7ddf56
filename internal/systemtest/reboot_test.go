//go:build system

package systemtest

import (
	"net/http"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor/suitetest"
)

const survivor = "survivor"

// TestBeforeReboot leaves a server running and the web app and worker enabled;
// scripts/test-system then restarts the machine and runs TestAfterReboot.
func TestBeforeReboot(t *testing.T) {
	stores(t)
	simulateSteam(t)
	l4d2ctl(t, "install")
	initialise(t, survivor, 27040)
	l4d2ctl(t, "start", survivor)
	sh(t, "systemctl", "enable", "--now", "left4me-web.service", "left4me-worker.service")
	newBrowser(t)
}

// A machine that was restarted has no mounts and says what happened; the server
// starts again, and the web app and worker are up by themselves.
func TestAfterReboot(t *testing.T) {
	if left := leftovers(t); strings.Contains(left, "merged") {
		t.Errorf("after the reboot there are: %s", left)
	}
	st := status(t, survivor)
	if st.State != ctl.ServerFailed || !strings.Contains(st.Message, "machine was restarted") || st.PID != 0 {
		t.Errorf("status after the reboot: %+v", st)
	}
	newBrowser(t)
	for _, unit := range []string{"left4me-web.service", "left4me-worker.service"} {
		if got := sh(t, "systemctl", "is-active", unit); got != "active" {
			t.Errorf("%s is %s", unit, got)
		}
	}
	l4d2ctl(t, "start", survivor)
	if st := status(t, survivor); st.State != ctl.ServerRunning || st.Restarts != 0 {
		t.Errorf("started again: %+v", st)
	}
	suitetest.Eventually(t, "its log goes on behind the reboot", func() bool {
		return strings.Count(l4d2ctl(t, "logs", survivor, "--lines", "5000", "--no-follow"), "Host_NewGame on map") == 2
	})
	l4d2ctl(t, "delete", survivor)
	if left := leftovers(t); strings.Contains(left, survivor) {
		t.Errorf("left behind: %s", left)
	}
	if resp, err := http.Get(site + "/readyz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the site: %v, %v", resp, err)
	}
}
