package suitetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// Env is a supervisor under test with a state root of NewRoot.
//
// One whose restart policy is not the launch's, but written down elsewhere, has to
// have this one: three starts within a minute and no pause between them, except
// for the instances "between", a pause of an hour, and Once, no restart at all.
type Env struct {
	supervisor.Supervisor
	Root string
	// SmallLogs is the same supervisor with log segments of about 20 KiB, four of
	// them, so that rotation is tested. Nil where the log is not the supervisor's.
	SmallLogs supervisor.Supervisor
	// Once is the instance that is never restarted; empty where the launch decides.
	Once string
	// GameUID is the user that the game runs as; 0 means the test's own.
	GameUID int
}

// Run is the suite. open makes an Env for one test.
func Run(t *testing.T, open func(t *testing.T) Env) {
	tests := []struct {
		name string
		run  func(*testing.T, Env)
	}{
		{"the life of a server", testLife},
		{"arguments arrive as they are", testArgv},
		{"layers", testLayers},
		{"what the game left behind dies with it", testOrphans},
		{"a deaf game is killed", testDeaf},
		{"a crash is restarted up to a limit", testCrashLoop},
		{"a crash is survived", testRestart},
		{"an end by itself is no crash", testOwnEnd},
		{"stop while waiting for a restart", testStopBetweenRuns},
		{"parallel starts make one game", testParallelStarts},
		{"bad launches", testBadLaunches},
		{"log lines", testLogLines},
		{"a log is followed without loss", testFollow},
		{"a log is bounded", testRotation},
		{"purge", testPurge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

// Launch is a launch of the game with these arguments and quick limits.
func Launch(name string, args ...string) supervisor.Launch {
	return supervisor.Launch{
		Name: name, Layers: []string{"installation"}, Argv: append([]string{GameName}, args...),
		Env:       []string{"PATH=/usr/bin:/bin", "GAME=yes"},
		StopGrace: 10 * time.Second,
		Restart:   supervisor.RestartPolicy{Limit: 3, Window: time.Minute, Delay: time.Millisecond},
		Applied:   ctl.Applied{Spec: "abc", Argv: args, Overlays: []string{"1/v2"}, At: time.Unix(1700000000, 0).UTC()},
	}
}

// Up starts a server and stops it at the end of the test.
func Up(t testing.TB, s supervisor.Supervisor, l supervisor.Launch) {
	t.Helper()
	if err := s.Start(context.Background(), l); err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() { Down(t, s, l.Name) })
}

// Down stops a server.
func Down(t testing.TB, s supervisor.Supervisor, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Stop(ctx, name); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// Status is the status of a server.
func Status(t testing.TB, s supervisor.Supervisor, name string) supervisor.Instance {
	t.Helper()
	i, err := s.Status(context.Background(), name)
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return i
}

// Console is everything in a server's log, lines of the supervisor too.
func Console(t testing.TB, s supervisor.Supervisor, name string) []string {
	t.Helper()
	var lines []string
	err := s.Logs(context.Background(), name, supervisor.LogOptions{Lines: 1 << 20}, func(l supervisor.LogLine) error {
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil {
		t.Fatalf("logs: %v", err)
	}
	return lines
}

// WaitLine waits until the log has a line that contains text, and returns it.
func WaitLine(t testing.TB, s supervisor.Supervisor, name, text string) string {
	t.Helper()
	found := ""
	Eventually(t, fmt.Sprintf("the log of %s has %q; it has %q", name, text, tail(Console(t, s, name))), func() bool {
		for _, l := range Console(t, s, name) {
			if strings.Contains(l, text) {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

func tail(lines []string) []string { return lines[max(0, len(lines)-10):] }

func waitState(t testing.TB, s supervisor.Supervisor, name string, want ctl.ServerState) supervisor.Instance {
	t.Helper()
	var i supervisor.Instance
	Eventually(t, name+" is "+string(want), func() bool { i = Status(t, s, name); return i.State == want })
	return i
}

func testLife(t *testing.T, e Env) {
	if i := Status(t, e, "friday"); i.State != ctl.ServerStopped || i.PID != 0 {
		t.Errorf("before the first start: %+v", i)
	}
	Down(t, e, "friday")
	l := Launch("friday", "print:hello", "wait")
	before, stamp := time.Now(), e.Stamp("friday")
	Up(t, e, l)
	if again := e.Stamp("friday"); again == stamp || again != e.Stamp("friday") {
		t.Errorf("the start made the stamp %q of %q", again, stamp)
	}
	stamp = e.Stamp("friday")
	i := Status(t, e, "friday")
	if i.State != ctl.ServerRunning || i.Since.Before(before.Add(-time.Second)) || i.Exit != nil || i.Restarts != 0 || i.Memory < 100<<10 {
		t.Errorf("running: %+v", i)
	}
	if i.Applied == nil || !reflect.DeepEqual(*i.Applied, l.Applied) {
		t.Errorf("applied %+v, want %+v", i.Applied, l.Applied)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", i.PID))
	if err != nil || string(cmdline) != "./"+GameName+"\x00print:hello\x00wait\x00" {
		t.Errorf("process %d is %q (%v)", i.PID, cmdline, err)
	}
	Up(t, e, Launch("friday", "print:another"))
	if again := Status(t, e, "friday"); again.PID != i.PID {
		t.Errorf("a second start changed the process from %d to %d", i.PID, again.PID)
	}
	WaitLine(t, e, "friday", "hello")
	Down(t, e, "friday")
	if e.Stamp("friday") == stamp {
		t.Error("the stop left the stamp as it was")
	}
	if Alive(i.PID) {
		t.Errorf("process %d is alive after stop", i.PID)
	}
	end := Status(t, e, "friday")
	if end.State != ctl.ServerStopped || end.PID != 0 || end.Exit == nil || end.Exit.Code != 0 || end.Applied != nil || end.Memory != 0 {
		t.Errorf("stopped: %+v, exit %+v", end, end.Exit)
	}
	if got := Console(t, e, "friday"); !reflect.DeepEqual(got, []string{"hello", "interrupted"}) {
		t.Errorf("console %q", got)
	}
	Down(t, e, "friday")
	Up(t, e, Launch("friday", "print:again", "wait"))
	WaitLine(t, e, "friday", "again")
}

func testArgv(t *testing.T, e Env) {
	args := []string{"argv", `print:Friday "versus" ; $(id)`, "print:c2m1_highway versus", "print:*", "print:", "print:ümläut", "wait"}
	Up(t, e, Launch("argv", args...))
	want := fmt.Sprintf("argv %q", append([]string{"./" + GameName}, args...))
	if got := WaitLine(t, e, "argv", "argv ["); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	WaitLine(t, e, "argv", `Friday "versus" ; $(id)`)
}

func testLayers(t *testing.T, e Env) {
	for path, text := range map[string]string{
		"overlays/7/v1/cfg/server.cfg": "top", "installation/cfg/server.cfg": "bottom",
		"installation/cfg/base.cfg": "base", "installation/addons/a/b": "b",
	} {
		Write(t, filepath.Join(e.Root, path), text)
	}
	l := Launch("layers", "read:cfg/server.cfg", "read:cfg/base.cfg", "write:cfg/base.cfg=changed", "remove:addons", "print:removed",
		"read:addons/a/b", "wait")
	l.Layers = []string{"overlays/7/v1", "installation"}
	Up(t, e, l)
	WaitLine(t, e, "layers", `content of cfg/server.cfg: "top"`)
	WaitLine(t, e, "layers", `content of cfg/base.cfg: "base"`)
	WaitLine(t, e, "layers", `error: open addons/a/b: no such file`)
	Down(t, e, "layers")
	if b, err := os.ReadFile(filepath.Join(e.Root, "installation/cfg/base.cfg")); err != nil || string(b) != "base" {
		t.Errorf("the layer was changed: %q %v", b, err)
	}
	l.Argv = []string{GameName, "read:cfg/base.cfg", "read:addons/a/b", "print:second", "wait"}
	Up(t, e, l)
	WaitLine(t, e, "layers", "second")
	WaitLine(t, e, "layers", `content of cfg/base.cfg: "changed"`)
}

func testOrphans(t *testing.T, e Env) {
	uid := e.GameUID
	if uid == 0 {
		uid = os.Getuid()
	}
	alive := func() bool { return strings.Contains(cmdlines(t, uid), "left-behind-") }
	Up(t, e, Launch("orphans", "child", "wait"))
	Eventually(t, "the child runs", alive)
	Down(t, e, "orphans")
	if alive() {
		t.Error("a child survived stop")
	}
	Up(t, e, Launch("orphans", "child", "exit:0"))
	waitState(t, e, "orphans", ctl.ServerStopped)
	if alive() {
		t.Error("a child survived the end of the game")
	}
}

// cmdlines is the argv of every process of a user.
func cmdlines(t testing.TB, user int) string {
	t.Helper()
	var all strings.Builder
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		var uid int
		if fi, err := os.Stat(filepath.Dir(p)); err == nil {
			uid = int(ownerOf(fi))
		}
		if b, err := os.ReadFile(p); err == nil && uid == user {
			all.Write(b)
		}
	}
	return all.String()
}

func testDeaf(t *testing.T, e Env) {
	l := Launch("deaf", "print:deaf", "deaf")
	l.StopGrace = 50 * time.Millisecond
	Up(t, e, l)
	WaitLine(t, e, "deaf", "deaf")
	begin := time.Now()
	Down(t, e, "deaf")
	if took := time.Since(begin); took < l.StopGrace || took > 10*time.Second {
		t.Errorf("stop took %s", took)
	}
	i := Status(t, e, "deaf")
	if i.State != ctl.ServerStopped || i.Exit == nil || i.Exit.Signal != "SIGKILL" || i.Exit.Code != 137 {
		t.Errorf("%+v, exit %+v", i, i.Exit)
	}
}

func testCrashLoop(t *testing.T, e Env) {
	Up(t, e, Launch("crash", "print:born", "abort"))
	i := waitState(t, e, "crash", ctl.ServerFailed)
	if i.Restarts != 2 || i.Exit == nil || i.Exit.Signal != "SIGKILL" || i.Exit.Code != 137 || i.PID != 0 || i.Applied == nil {
		t.Errorf("%+v, exit %+v", i, i.Exit)
	}
	if !strings.Contains(i.Message, "3 times") || !strings.Contains(i.Message, "SIGKILL") {
		t.Errorf("message %q", i.Message)
	}
	if n := strings.Count(strings.Join(Console(t, e, "crash"), "\n"), "born"); n != 3 {
		t.Errorf("started %d times, want 3", n)
	}
	Down(t, e, "crash")
	if i := Status(t, e, "crash"); i.State != ctl.ServerStopped || i.Exit == nil {
		t.Errorf("after stop: %+v", i)
	}
	once := "crash"
	if e.Once != "" {
		once = e.Once
	}
	l := Launch(once, "print:other", "exit:7")
	l.Restart.Limit = 0
	Up(t, e, l)
	Eventually(t, "the second launch has failed", func() bool {
		i = Status(t, e, once)
		return i.State == ctl.ServerFailed && i.Exit != nil && i.Exit.Code == 7
	})
	if i.Restarts != 0 || !strings.Contains(i.Message, "exit code 7") {
		t.Errorf("%+v", i)
	}
}

func testRestart(t *testing.T, e Env) {
	l := Launch("again", "once:marker", "exit:3")
	Up(t, e, l)
	i := waitState(t, e, "again", ctl.ServerStopped)
	if i.Restarts != 1 || !strings.Contains(i.Message, "by itself") {
		t.Errorf("%+v", i)
	}
	WaitLine(t, e, "again", "exit code 3; it is started again")
}

func testOwnEnd(t *testing.T, e Env) {
	Up(t, e, Launch("quit", "part:no line end", "exit:0"))
	i := waitState(t, e, "quit", ctl.ServerStopped)
	if i.Restarts != 0 || i.Exit == nil || i.Exit.Code != 0 || !strings.Contains(i.Message, "by itself") {
		t.Errorf("%+v", i)
	}
	WaitLine(t, e, "quit", "no line end")
}

func testStopBetweenRuns(t *testing.T, e Env) {
	l := Launch("between", "exit:1")
	l.Restart.Delay = time.Hour
	Up(t, e, l)
	i := waitState(t, e, "between", ctl.ServerStarting)
	if i.PID != 0 || i.Restarts != 1 || i.Message == "" {
		t.Errorf("%+v", i)
	}
	begin := time.Now()
	Down(t, e, "between")
	if i := Status(t, e, "between"); i.State != ctl.ServerStopped || time.Since(begin) > 5*time.Second {
		t.Errorf("%+v after %s", i, time.Since(begin))
	}
}

func testParallelStarts(t *testing.T, e Env) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := e.Start(context.Background(), Launch("many", "print:born", "wait")); err != nil {
				t.Errorf("start: %v", err)
			}
		})
	}
	wg.Wait()
	WaitLine(t, e, "many", "born")
	Down(t, e, "many")
	if n := strings.Count(strings.Join(Console(t, e, "many"), "\n"), "born"); n != 1 {
		t.Errorf("started %d times, want 1", n)
	}
	for range 8 {
		wg.Go(func() { _ = e.Start(context.Background(), Launch("many", "wait")) }) // may be cut short by a stop
		wg.Go(func() {
			if err := e.Stop(context.Background(), "many"); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
	wg.Wait()
	Down(t, e, "many")
	if i := Status(t, e, "many"); i.State != ctl.ServerStopped {
		t.Errorf("%+v", i)
	}
}

func testBadLaunches(t *testing.T, e Env) {
	tests := map[string]struct {
		change func(*supervisor.Launch)
		want   error
	}{
		"name as path":        {func(l *supervisor.Launch) { l.Name = "../x" }, ctl.ErrBadName},
		"no layer":            {func(l *supervisor.Launch) { l.Layers = nil }, ctl.ErrBadSpec},
		"layer outside":       {func(l *supervisor.Launch) { l.Layers = []string{"../etc"} }, ctl.ErrBadSpec},
		"absolute layer":      {func(l *supervisor.Launch) { l.Layers = []string{"/etc"} }, ctl.ErrBadSpec},
		"layer of another":    {func(l *supervisor.Launch) { l.Layers = []string{"runtime/other/upper"} }, ctl.ErrBadSpec},
		"layer twice":         {func(l *supervisor.Launch) { l.Layers = []string{"installation", "installation"} }, ctl.ErrBadSpec},
		"the root visible":    {func(l *supervisor.Launch) { l.Visible = []string{"."} }, ctl.ErrBadSpec},
		"missing layer":       {func(l *supervisor.Launch) { l.Layers = []string{"overlays/9/v9", "installation"} }, ctl.ErrNotFound},
		"no program":          {func(l *supervisor.Launch) { l.Argv = nil }, ctl.ErrBadSpec},
		"program outside":     {func(l *supervisor.Launch) { l.Argv = []string{"/bin/sh"} }, ctl.ErrBadSpec},
		"missing program":     {func(l *supervisor.Launch) { l.Argv = []string{"srcds_windows"} }, ctl.ErrNotInstalled},
		"program is text":     {func(l *supervisor.Launch) { l.Argv = []string{"text"} }, ctl.ErrGameFailed},
		"program not marked":  {func(l *supervisor.Launch) { l.Argv = []string{"plain"} }, ctl.ErrGameFailed},
		"loader is missing":   {func(l *supervisor.Launch) { l.Argv = []string{"alien"} }, ctl.ErrGameFailed},
		"NUL in an argument":  {func(l *supervisor.Launch) { l.Argv = []string{GameName, "a\x00b"} }, ctl.ErrBadSpec},
		"bytes, not text":     {func(l *supervisor.Launch) { l.Argv = []string{GameName, "\xff"} }, ctl.ErrBadSpec},
		"broken environment":  {func(l *supervisor.Launch) { l.Env = []string{"NOVALUE"} }, ctl.ErrBadSpec},
		"NUL in a layer name": {func(l *supervisor.Launch) { l.Layers = []string{"a\x00b"} }, ctl.ErrBadSpec},
	}
	for path, text := range map[string]string{"text": "just text", "plain": "no mode", "alien": "#!/no/such/loader\n"} {
		Write(t, filepath.Join(e.Root, "installation", path), text)
	}
	for _, p := range []string{"text", "alien"} {
		if err := os.Chmod(filepath.Join(e.Root, "installation", p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := Launch("bad", "wait")
			tt.change(&l)
			err := e.Start(context.Background(), l)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err == nil {
				Down(t, e, "bad")
			}
			if err != nil && !errors.Is(err, ctl.ErrBadSpec) && !errors.Is(err, ctl.ErrBadName) {
				if i := Status(t, e, "bad"); i.State != ctl.ServerFailed || !strings.Contains(i.Message, err.Error()) {
					t.Errorf("status after %v: %+v", err, i)
				}
			}
		})
	}
}

func testLogLines(t *testing.T, e Env) {
	long := strings.Repeat("x", 9000)
	Up(t, e, Launch("lines", "print:tab\there\r", `raw:"bad \xff\xfe utf8\n"`, `raw:"\x1b[31mred\x07\x00\n"`, "print:"+long, "print:", "print:last", "wait"))
	WaitLine(t, e, "lines", "last")
	want := []string{"tab\there", "bad \uFFFD utf8", "[31mred", long[:8192] + "…", "", "last"}
	if got := Console(t, e, "lines"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %.300q\nwant %.300q", got, want)
	}
}

// collect gathers lines until stop says so or the log ends.
func collect(t testing.TB, s supervisor.Supervisor, name string, o supervisor.LogOptions, enough func([]supervisor.LogLine) bool) []supervisor.LogLine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	stop := errors.New("enough")
	var lines []supervisor.LogLine
	err := s.Logs(ctx, name, o, func(l supervisor.LogLine) error {
		lines = append(lines, l)
		if enough(lines) {
			return stop
		}
		return nil
	})
	if err != nil && !errors.Is(err, stop) || ctx.Err() != nil {
		t.Fatalf("logs: %v after %d lines (%v)", err, len(lines), ctx.Err())
	}
	return lines
}

func lastText(text string) func([]supervisor.LogLine) bool {
	return func(l []supervisor.LogLine) bool { return l[len(l)-1].Text == text }
}

func testFollow(t *testing.T, e Env) {
	const n = 3000
	small := e.SmallLogs
	if small == nil {
		small = e
	}
	got := make(chan []supervisor.LogLine, 1)
	go func() { // before the server ever ran
		got <- collect(t, small, "flood", supervisor.LogOptions{Follow: true}, lastText("flood over"))
	}()
	Up(t, small, Launch("flood", "flood:"+strconv.Itoa(n), "wait"))
	lines := <-got
	checkFlood(t, lines, n)
	// Again from a cursor in the middle, in two parts.
	mid := lines[len(lines)-200]
	rest := collect(t, small, "flood", supervisor.LogOptions{After: mid.Cursor}, func(l []supervisor.LogLine) bool { return len(l) == 100 })
	rest = append(rest, collect(t, small, "flood", supervisor.LogOptions{After: rest[99].Cursor, Follow: true}, lastText("flood over"))...)
	if !reflect.DeepEqual(rest, lines[len(lines)-199:]) {
		t.Errorf("after %+v came %d lines from %+v, want 199", mid, len(rest), rest[0])
	}
	last := collect(t, small, "flood", supervisor.LogOptions{Lines: 5}, func([]supervisor.LogLine) bool { return false })
	if !reflect.DeepEqual(last, lines[len(lines)-5:]) {
		t.Errorf("the last five are %+v", last)
	}
	// The lines of the next start go on in number.
	Down(t, small, "flood")
	Up(t, small, Launch("flood", "print:next", "wait"))
	WaitLine(t, small, "flood", "next")
	next := collect(t, small, "flood", supervisor.LogOptions{After: last[4].Cursor}, lastText("next"))
	if len(next) != 2 || next[0].Text != "interrupted" {
		t.Errorf("%+v", next)
	}
	if err := e.Logs(context.Background(), "flood", supervisor.LogOptions{After: "x"}, nil); !errors.Is(err, ctl.ErrUsage) {
		t.Errorf("a cursor that is none: %v", err)
	}
}

// checkFlood accepts a gap only where a line says so: a follower that is slower
// than a tiny log rotates loses lines, and is told.
func checkFlood(t testing.TB, lines []supervisor.LogLine, n int) {
	t.Helper()
	want := 0
	for _, l := range lines {
		var lost int
		if _, err := fmt.Sscanf(l.Text, "[left4me] %d earlier lines", &lost); err == nil {
			want += lost
			continue
		}
		if l.Text != "flood line "+strconv.Itoa(want) && l.Text != "flood over" {
			t.Fatalf("got %q, want line %d", l.Text, want)
		}
		if l.At.IsZero() || l.At.Location() != time.UTC {
			t.Fatalf("%q is at %s", l.Text, l.At)
		}
		want++
	}
	if want != n+1 {
		t.Errorf("%d lines, want %d", want, n+1)
	}
}

func testRotation(t *testing.T, e Env) {
	if e.SmallLogs == nil {
		return // whoever keeps the log bounds it
	}
	const n = 20000
	Up(t, e.SmallLogs, Launch("big", "flood:"+strconv.Itoa(n), "wait"))
	WaitLine(t, e.SmallLogs, "big", "flood over")
	lines := collect(t, e.SmallLogs, "big", supervisor.LogOptions{After: "7"}, lastText("flood over"))
	if !strings.Contains(lines[0].Text, "earlier lines are no longer kept") {
		t.Fatalf("an old cursor begins with %+v", lines[0])
	}
	var lost int
	if _, err := fmt.Sscanf(lines[0].Text, "[left4me] %d", &lost); err != nil || lost+len(lines)-1+7 != n+1 {
		t.Errorf("%q and %d lines are not %d", lines[0].Text, len(lines)-1, n+1-7)
	}
	again := collect(t, e.SmallLogs, "big", supervisor.LogOptions{After: lines[0].Cursor}, lastText("flood over"))
	if !reflect.DeepEqual(again, lines[1:]) {
		t.Errorf("behind the notice come %d lines, want %d", len(again), len(lines)-1)
	}
	var size int64
	err := filepath.WalkDir(filepath.Join(e.Root, "runtime/big/log"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			fi, err := d.Info()
			size += fi.Size()
			return err
		}
		return err
	})
	if err != nil || size > 256<<10 {
		t.Errorf("the log takes %d bytes (%v)", size, err)
	}
	new := collect(t, e.SmallLogs, "big", supervisor.LogOptions{After: "99999999"}, lastText("flood over"))
	if !strings.Contains(new[0].Text, "begun anew") || len(new) != len(lines) {
		t.Errorf("a cursor of the future: %d lines, first %+v", len(new), new[0])
	}
}

func testPurge(t *testing.T, e Env) {
	Up(t, e, Launch("purge", "write:file=x", "wait"))
	if err := e.Purge(context.Background(), "purge"); !errors.Is(err, ctl.ErrInUse) {
		t.Errorf("purge of a running server: %v", err)
	}
	Down(t, e, "purge")
	for range 2 {
		if err := e.Purge(context.Background(), "purge"); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(e.Root, "runtime", "purge*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left %q %v", left, err)
	}
	if got := Console(t, e, "purge"); len(got) != 0 {
		t.Errorf("log %q", got)
	}
	Up(t, e, Launch("purge", "read:file", "wait"))
	WaitLine(t, e, "purge", "no such file")
}
