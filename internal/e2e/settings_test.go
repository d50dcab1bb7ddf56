package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"left4me/hostops/rcon"
)

// opens asks the game itself whether a password opens its console.
func opens(t *testing.T, port int, password string) bool {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	conn, err := rcon.Dial(ctx, fmt.Sprintf("127.0.0.1:%d", port), password)
	if errors.Is(err, rcon.ErrAuth) {
		return false
	} else if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close() // only asked
	return true
}

// Settings reach the game when the page says that they do: a new RCON password and a
// new port at the next start, and a reset removes what the game wrote and no more.
func TestSettingsReachTheGame(t *testing.T) {
	s := newSite(t, true)
	s.up()
	s.signIn()
	s.install()
	name := s.makeServer("Settings", "log on\n", arguments, "")
	s.startNow(name)
	page, former, port := "/servers/"+name, s.password(name), s.status(name).Port
	written := func() bool {
		found, err := filepath.Glob(filepath.Join(s.data, "runtime", name, "upper/left4dead2/logs/L*.log"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found) > 0
	}
	s.eventually("the game wrote its log", written)

	s.post(page+"/rcon/renew", url.Values{"sure": {"yes"}})
	s.succeed(s.newestJob(), "applying the new password")
	fresh := s.password(name)
	if fresh == former {
		t.Fatal("the password is the former one")
	}
	if !opens(t, port, former) {
		t.Error("the running game lost its password before its next start")
	}
	if st := s.status(name); st.Live == nil || !st.Pending {
		t.Errorf("after a new password the host says %+v", st)
	}
	_, settings := s.get(page + "/settings")
	s.eventually("the page says that the game has the former password", func() bool {
		_, settings = s.get(page + "/settings")
		return strings.Contains(settings, "may still have the password from then")
	})
	if strings.Contains(settings, fresh) || strings.Contains(settings, former) {
		t.Error("the page shows a password that nobody asked for")
	}
	s.post(page, url.Values{"name": {"Settings"}, "port": {""}, "blueprint": {s.blueprintOf(settings)}})
	s.succeed(s.newestJob(), "applying the new port")
	s.post(page+"/restart", nil)
	s.succeed(s.newestJob(), "the restart")
	now := s.status(name)
	if now.Port == port || now.Port < 27015 || now.Pending {
		t.Errorf("after the restart the host says %+v; the port was %d", now, port)
	}
	if !opens(t, now.Port, fresh) || opens(t, now.Port, former) {
		t.Error("the restarted game does not have the new password, or still the former one")
	}

	s.post(page+"/reset", url.Values{"sure": {"yes"}})
	s.succeed(s.newestJob(), "the reset")
	if _, err := os.Stat(filepath.Join(s.data, "runtime", name, "upper")); !errors.Is(err, os.ErrNotExist) && written() {
		t.Errorf("after the reset what the game wrote is there: %v", err)
	}
	if _, body := s.get(page + "/files"); !strings.Contains(body, "The game has written nothing yet") {
		t.Errorf("after the reset the page shows files:\n%s", body)
	}
	s.startNow(name)
	if st := s.status(name); st.Port != now.Port || !opens(t, st.Port, fresh) {
		t.Errorf("after a reset its settings are others: %+v", st)
	}
}

// blueprintOf is the blueprint that a page of settings has chosen.
func (s *site) blueprintOf(settings string) string {
	s.t.Helper()
	_, rest, ok := strings.Cut(settings, `name="blueprint"`)
	before, _, selected := strings.Cut(rest, `" selected`)
	if !ok || !selected {
		s.t.Fatalf("no blueprint is chosen:\n%s", settings)
	}
	return before[strings.LastIndex(before, `"`)+1:]
}
