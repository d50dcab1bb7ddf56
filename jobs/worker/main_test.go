package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
	"left4me/jobs/worker"
	"left4me/models"
)

// The test binary plays three parts: the tests, a fake l4d2ctl (the worker knows
// it only by its contract), and a whole worker process that tests can kill.
func TestMain(m *testing.M) {
	switch os.Getenv("LEFT4ME_TEST_PART") {
	case "l4d2ctl":
		os.Exit(fakeCtl(os.Args[1:]))
	case "worker":
		os.Exit(workerProcess())
	}
	testenv.Main(m)
}

// act is what the fake l4d2ctl does for one verb: it is written by the test as
// FOLDER/VERB.json, and FOLDER/VERB-NAME.json comes before it. What watch and status
// print stands in FOLDER/watch, which may grow, and FOLDER/status.
type act struct {
	Lines   int    // log lines, numbered
	Console bool   // lines of a console with their cursors, behind --after, until a signal
	Hold    bool   // then wait for FOLDER/release or a signal
	Sleep   string // then wait that long
	Child   bool   // leave a grandchild that ignores SIGTERM
	Codes   []int  // exit codes, one a run; the last one stays
	Message string //
	Retry   bool   //
	Events  []ctl.Event
}

func fakeCtl(args []string) int {
	dir := os.Getenv("FAKE_DIR")
	words := []string{}
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			words = append(words, a)
		}
	}
	if words[0] == "overlay" || words[0] == "workshop" { // overlay build 12: the verb overlay-build on 12
		words = append([]string{words[0] + "-" + words[1]}, words[2:]...)
	}
	verb, name := words[0], ""
	if len(words) > 1 {
		name = words[1]
	}
	emit := func(e ctl.Event) {
		e.At = time.Now().UTC()
		_, _ = os.Stdout.Write(ctl.Encode(e))
	}
	if verb == "watch" {
		emit(ctl.Event{Type: ctl.EventGame, Game: &ctl.Game{Installed: true, Build: "1"}})
		for sent := 0; ; { // the sign of life; a closed pipe ends it
			if raw, err := os.ReadFile(filepath.Join(dir, "watch")); err == nil && len(raw) > sent {
				_, _ = os.Stdout.Write(raw[sent:])
				sent = len(raw)
			}
			time.Sleep(50 * time.Millisecond)
			emit(ctl.Event{Type: ctl.EventLog, Stream: ctl.StreamCtl, Text: "alive"})
		}
	}
	if verb == "status" {
		raw, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			raw = []byte("[]")
		}
		_, _ = os.Stdout.Write(raw)
		return 0
	}
	a := act{}
	for _, file := range []string{verb + "-" + name, verb} {
		if raw, err := os.ReadFile(filepath.Join(dir, file+".json")); err == nil {
			if err := json.Unmarshal(raw, &a); err != nil {
				panic(err)
			}
			break
		}
	}
	if a.Console { // reading takes no lock
		return printConsole(args, emit)
	}
	// One instance has one flock, as the real one's: overlap is a failed test.
	if name != "" {
		f, err := os.OpenFile(filepath.Join(dir, "lock-"+name), os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			panic(err)
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			emit(ctl.Event{Type: ctl.EventResult, Result: &ctl.Result{Code: 75, Message: "busy", Retry: true}})
			return 75
		}
	}
	n := record(dir, verb, name)
	text, err := io.ReadAll(os.Stdin)
	if err == nil && len(text) > 0 {
		err = os.WriteFile(filepath.Join(dir, "stdin-"+verb+"-"+name), text, 0o600)
	}
	if err != nil {
		panic(err)
	}
	if verb == "steam" {
		emit(ctl.Event{Type: ctl.EventLog, Stream: ctl.StreamOut, Text: "signing in with " + string(text)})
	}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM)
	if a.Child {
		child := exec.Command("/bin/sh", "-c", `trap "" TERM; echo $$ > "$0"; sleep 60`, filepath.Join(dir, "grandchild"))
		if err := child.Start(); err != nil {
			panic(err)
		}
	}
	for i := 1; i <= a.Lines; i++ {
		emit(ctl.Event{Type: ctl.EventLog, Stream: ctl.StreamOut, Text: fmt.Sprintf("line %d of run %d", i, n)})
	}
	for _, e := range a.Events {
		emit(e)
	}
	wait, _ := time.ParseDuration(a.Sleep) // empty: zero
	deadline := time.Now().Add(wait)
	for {
		_, err := os.Stat(filepath.Join(dir, "release"))
		if (!a.Hold || err == nil) && time.Now().After(deadline) {
			break
		}
		select {
		case <-stopped:
			return 130
		case <-time.After(5 * time.Millisecond):
		}
	}
	code := 0
	if len(a.Codes) > 0 {
		code = a.Codes[min(n, len(a.Codes))-1]
	}
	r := &ctl.Result{Code: code}
	if code != 0 {
		r.Message, r.Retry = a.Message, a.Retry
	}
	emit(ctl.Event{Type: ctl.EventResult, Result: r})
	return code
}

// printConsole is `logs NAME --follow`: an endless console of numbered lines, whose
// cursors are their numbers.
func printConsole(args []string, emit func(ctl.Event)) int {
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM)
	n := 0
	for i, a := range args {
		if a == "--after" {
			n, _ = strconv.Atoi(args[i+1]) // what is no number begins at the first line
		}
	}
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stopped:
			return 130
		case <-tick.C:
			n++
			emit(ctl.Event{Type: ctl.EventLog, Stream: ctl.StreamGame, Text: fmt.Sprintf("console line %d", n), Cursor: strconv.Itoa(n)})
		}
	}
}

// record counts the runs of a verb on a name, the present one included.
func record(dir, verb, name string) int {
	path := filepath.Join(dir, "runs-"+verb+"-"+name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	_, _ = f.WriteString("x")
	_ = f.Close()
	info, err := os.Stat(path)
	if err != nil {
		panic(err)
	}
	return int(info.Size())
}

// workerProcess is a worker on the stores named in the environment.
func workerProcess() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	db, err := models.Open(ctx, os.Getenv("TEST_DSN"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	options, err := redis.ParseURL(os.Getenv("TEST_REDIS"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	key, err := models.ParseSecretKey(os.Getenv("TEST_KEY"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	w := worker.New(worker.Config{
		DB: db, Redis: redis.NewClient(options), Key: key, Log: testenv.Log(),
		Host: models.LocalHost, Ctl: []string{"/proc/self/exe"}, CtlEnv: ctlEnv(os.Getenv("FAKE_DIR")),
	})
	if err := w.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func ctlEnv(dir string) []string {
	return []string{"LEFT4ME_TEST_PART=l4d2ctl", "FAKE_DIR=" + dir, "PATH=" + os.Getenv("PATH")}
}
