package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"left4me/hostops/ctl"
)

// 50 servers run when their overlay gets another version: none of them sees it,
// collecting leaves theirs alone, and each takes the new one when it is started
// again with it.
func TestAVersionChangesNoneOfFiftyServers(t *testing.T) {
	const servers = 50
	s := newSite(t, true)
	s.script(`{"speed": "instant"}`)
	s.run("l4d2ctl", "install")
	publish := func(text string) {
		from := filepath.Join(filepath.Dir(s.data), "content")
		if err := errors.Join(os.RemoveAll(from), os.MkdirAll(filepath.Join(from, "left4dead2", "cfg"), 0o755),
			os.WriteFile(filepath.Join(from, "left4dead2", "cfg", "rules.cfg"), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		s.run("l4d2ctl", "overlay", "build", "5", "-f", s.file("build.yaml", "kind: files\nfrom: "+from+"\n"))
	}
	publish("first")
	spec := func(i int, version string) string {
		return s.file(fmt.Sprintf("spec%d.yaml", i), fmt.Sprintf("port: %d\nrcon_password: secret1234\noverlays: [5/%s]\n", 28000+i, version))
	}
	all := func(do func(i int, name string)) {
		var group sync.WaitGroup
		slots := make(chan struct{}, 8)
		for i := range servers {
			group.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				do(i, fmt.Sprintf("many%02d", i))
			})
		}
		group.Wait()
	}
	try := func(args ...string) {
		if out, err := s.try("l4d2ctl", append([]string{"--wait", "50s"}, args...)...); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	all(func(i int, name string) {
		try("initialize", name, "-f", spec(i, "v1"))
		try("start", name)
	})
	if t.Failed() {
		t.FailNow()
	}
	pids := map[string]int{}
	for i := range servers {
		name := fmt.Sprintf("many%02d", i)
		pids[name] = s.status(name).PID
	}
	publish("second")
	s.run("l4d2ctl", "--wait", "50s", "overlay", "gc", "--keep", "1", "--age", "0s")
	// What the game sees is only to be seen from inside its mount namespace.
	sees := func(name string) string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", s.status(name).PID, filepath.Join(s.data, "runtime", name, "merged", "left4dead2/cfg/rules.cfg")))
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	for name, pid := range pids {
		if st := s.status(name); st.State != ctl.ServerRunning || st.PID != pid || st.Restarts != 0 {
			t.Errorf("%s: %s, process %d (was %d), %d restarts", name, st.State, st.PID, pid, st.Restarts)
		}
		if got := sees(name); got != "first" {
			t.Errorf("%s sees %q, want the version it was started with", name, got)
		}
	}
	all(func(i int, name string) {
		if i%10 != 0 {
			try("stop", name)
			return
		}
		try("initialize", name, "-f", spec(i, "v2"))
		try("stop", name)
		try("start", name)
		if got := sees(name); got != "second" {
			t.Errorf("%s sees %q after its next start, want the new version", name, got)
		}
		try("stop", name)
	})
}
