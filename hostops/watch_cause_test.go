package hostops

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

const nick = `#  2 1 "Nick" STEAM_1:1:12345678 01:05 29 3 active 100000 198.51.100.7:27005`

func TestOneLostReplyChangesNothing(t *testing.T) {
	t.Parallel()
	g, _, look, w := watched(t)
	before := look()
	if before.State != ctl.ServerRunning || before.Grade != ctl.GradeSteam || before.Live == nil {
		t.Fatalf("a game that answers is %+v", before)
	}
	g.hush(true)
	if st := look(); essenceOf(st) != essenceOf(before) {
		t.Errorf("one lost reply made\n%s of\n%s", essenceOf(st), essenceOf(before))
	}
	for range watchMisses {
		look()
	}
	if st := look(); st.State != ctl.ServerRunning || st.Live != nil || st.Hung {
		t.Errorf("after some lost replies: %+v; want it running, and nothing claimed of the game", st)
	}
	w.silent = time.Now().Add(-hungAfter - time.Second)
	if st := look(); st.State != ctl.ServerRunning || !st.Hung || st.Message != hungMessage {
		t.Errorf("a hung game is %+v", st)
	}
	g.hush(false)
	if st := look(); st.Hung || st.Live == nil || st.Message != "" {
		t.Errorf("a game that answers again is %+v", st)
	}
}

func TestASleepingGameIsHealthy(t *testing.T) {
	t.Parallel()
	g, _, look, _ := watched(t)
	g.say("(hibernating)", "198.51.100.1:27015")
	if st := look(); st.State != ctl.ServerRunning || !st.Live.Hibernating || st.Hung || st.Message != "" {
		t.Errorf("a sleeping game is %+v", st)
	}
	asked := g.times("console")
	look()
	if got := g.times("console"); got != asked {
		t.Errorf("a sleeping game's console was asked again at once (%d times)", got)
	}
	g.say("(not hibernating)", "198.51.100.1:27015", nick)
	if st := look(); st.Live.Hibernating || st.Live.Players != 1 || len(st.Live.Names) != 1 || st.Live.NamesAt.IsZero() {
		t.Errorf("somebody woke it: %+v", st.Live)
	}
}

func TestWhatIsPlayed(t *testing.T) {
	t.Parallel()
	g, _, look, w := watched(t)
	g.play("versus", "hard")
	if st := look(); st.Live.Mode != "versus" || st.Live.Difficulty != "Hard" {
		t.Errorf("got %q on %q", st.Live.Mode, st.Live.Difficulty)
	}
	look()
	if n := g.times("rules"); n != 1 {
		t.Errorf("the rules were asked %d times in two looks", n)
	}
	w.rulesAt = time.Time{}
	g.play("<script>", "Nightmare")
	if st := look(); st.Live.Mode != "" || st.Live.Difficulty != "" {
		t.Errorf("what no game has was taken: %q on %q", st.Live.Mode, st.Live.Difficulty)
	}
}

// A STEAM id's account number is Z*2+Y with Y the low bit.
func TestPlayersHaveTheNumberOfTheirProfile(t *testing.T) {
	t.Parallel()
	g, _, look, _ := watched(t)
	g.say("(not hibernating)", "198.51.100.1:27015", nick,
		`#  3 2 "new" STEAM_ID_PENDING 00:01 80 0 challenging 30000 198.51.100.8:27005`,
		`#  4 3 "lan" STEAM_ID_LAN 00:10 1 0 active 30000 192.168.0.2:27005`)
	names := look().Live.Names
	if len(names) != 2 || names[0] != (ctl.Player{UserID: 2, Name: "Nick", SteamID: "76561197984957085", Connected: 65, Ping: 29, Loss: 3}) || names[1].SteamID != "" {
		t.Errorf("on it are %+v", names)
	}
}

func TestALostConnectionToSteam(t *testing.T) {
	t.Parallel()
	g, _, look, w := watched(t)
	look()
	g.say("(hibernating)", "n/a")
	w.rconAt = time.Time{}
	if st := look(); st.State != ctl.ServerRunning || !strings.HasPrefix(st.Message, "The connection to Steam is lost") {
		t.Errorf("got %+v", st)
	}
	g.say("(hibernating)", "198.51.100.1:27015")
	w.rconAt = time.Time{}
	if st := look(); st.Message != "" {
		t.Errorf("when it is back: %q", st.Message)
	}
}

func TestARestartKeepsWhyTheGameEnded(t *testing.T) {
	t.Parallel()
	_, fake, look, w := watched(t)
	exit := &ctl.Exit{At: time.Now().UTC(), Code: 139, Signal: "SIGSEGV"}
	fake.set("friday", supervisor.Instance{State: ctl.ServerStarting, Restarts: 1, Exit: exit, Message: "It is started again in 2s."})
	fake.print("friday", "x/bad_srv.so: cannot enable executable stack as shared object requires")
	st := look()
	if st.Exit == nil || !strings.HasPrefix(st.Exit.Cause, "This host's C library") || st.Message != "It is started again in 2s." {
		t.Errorf("while it waits: %+v, %+v", st, st.Exit)
	}
	fake.print("friday", bannerLine)
	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning, PID: 2, Restarts: 1}) // systemd forgets the exit
	if st = look(); st.Exit == nil || st.Exit.Signal != "SIGSEGV" || !strings.HasPrefix(st.Exit.Cause, "This host's C library") || st.Restarts != 1 {
		t.Errorf("while it runs again: %+v, %+v", st, st.Exit)
	}
	if one, err := w.h.Status(t.Context(), "friday"); err != nil || one.Exit != nil {
		t.Errorf("one look alone cannot know how it ended: %+v, %v", one.Exit, err)
	}
	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning, PID: 3})
	if st = look(); st.Exit != nil {
		t.Errorf("after a start by hand it still shows %+v", st.Exit)
	}
}

func TestTheEndOfAProcessIsNoticedWithoutAsking(t *testing.T) {
	t.Parallel()
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", freePort(t))
	game := exec.Command("/bin/sh", "-c", "read x")
	in, err := game.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := game.Start(); err != nil {
		t.Fatal(err)
	}
	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning, PID: game.Process.Pid})
	b := baseLook{}
	defer b.close()
	if err := b.renew(t.Context(), h, "friday"); err != nil || b.due(h, "friday") {
		t.Fatalf("right after a look another one is due (%v)", err)
	}
	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning, PID: game.Process.Pid, Message: "other"})
	if !b.due(h, "friday") {
		t.Error("what the supervisor recorded is not noticed")
	}
	if err := b.renew(t.Context(), h, "friday"); err != nil || b.due(h, "friday") {
		t.Fatalf("right after a look another one is due (%v)", err)
	}
	_ = in.Close()  // its end
	_ = game.Wait() // reaped, so that the descriptor tells
	if !b.due(h, "friday") {
		t.Error("the end of the process is not noticed")
	}
}

func TestCPUOfASpan(t *testing.T) {
	t.Parallel()
	b := baseLook{}
	inst := supervisor.Instance{PID: 1, CPU: time.Second}
	take := func() int { n := b.cpu(inst); b.inst, b.st.CPU = inst, n; return n }
	back := func(d time.Duration) { b.useAt = b.useAt.Add(-d) }
	if got := take(); got != 0 {
		t.Errorf("the first look gives %d", got)
	}
	inst.CPU += 3 * time.Second
	back(10 * time.Second)
	if got := take(); got < 295 || got > 300 {
		t.Errorf("3 s of 10 are %d thousandths", got)
	}
	inst.CPU += time.Second
	if got := take(); got < 295 || got > 300 {
		t.Errorf("a look right behind another gives %d, want the figure before", got)
	}
	inst = supervisor.Instance{PID: 2, CPU: time.Hour}
	back(time.Minute)
	if got := take(); got != 0 {
		t.Errorf("another process gives %d", got)
	}
}
