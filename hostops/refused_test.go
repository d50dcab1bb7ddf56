package hostops

import (
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// refuser is an RCON port that rejects every password and counts.
func refuser(t *testing.T) (port int, tries *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp4", rconHost+":0")
	if err != nil {
		t.Fatal(err)
	}
	tries = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tries.Add(1)
			_, _ = conn.Read(make([]byte, 1024)) // the sign-in; what it says does not matter
			_, _ = conn.Write([]byte("\x0a\x00\x00\x00\xff\xff\xff\xff\x02\x00\x00\x00\x00\x00"))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).Port, tries
}

func TestARejectedPasswordIsNotSentAgain(t *testing.T) {
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", 27015)
	port, tries := refuser(t)
	game := supervisor.Instance{
		State: ctl.ServerRunning, PID: 1, Since: time.Now().Add(-time.Hour),
		Applied: &ctl.Applied{Argv: []string{"srcds_linux", "-port", strconv.Itoa(port)}},
	}
	fake.set("friday", game)
	for range 3 {
		st, err := h.Status(t.Context(), "friday")
		if err != nil || st.State != ctl.ServerRunning || st.Live != nil {
			t.Errorf("got %+v, %v", st, err)
		}
	}
	if got := tries.Load(); got != 1 {
		t.Errorf("the wrong password was sent %d times in one run", got)
	}
	game.Since = game.Since.Add(time.Minute) // the next run has another chance
	fake.set("friday", game)
	if _, err := h.Status(t.Context(), "friday"); err != nil || tries.Load() != 2 {
		t.Errorf("sent %d times, %v", tries.Load(), err)
	}
}

func TestAStartGivesARejectingGameUpInTime(t *testing.T) {
	h, fake, _ := newHost(t)
	port, tries := refuser(t)
	initialise(t, h, "friday", 27015)
	fake.print("friday", "Executing dedicated server config file")
	l := launched{name: "friday", port: port, since: time.Now().Add(-time.Second)}
	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning})
	notices, err := h.awaitReady(t.Context(), l, time.Minute)
	if err != nil || len(notices) != 1 || tries.Load() != authLimit {
		t.Errorf("%d tries, notices %q, %v", tries.Load(), notices, err)
	}
}
