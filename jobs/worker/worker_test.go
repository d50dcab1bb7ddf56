package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/jobs/worker"
	"left4me/models"
	"left4me/models/modelstest"
)

// world is a database, a Redis, a user, and whatever workers a test starts.
type world struct {
	t     *testing.T
	s     testenv.Stores
	dir   string
	raw   string // the secret key as text
	key   *models.SecretKey
	user  *models.User
	queue *jobs.Client
	up    []ctl.Status // what plays said that the host has
}

func newWorld(t *testing.T, s testenv.Stores) *world {
	t.Helper()
	raw := models.NewSecretKey()
	key, err := models.ParseSecretKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, s: s, dir: t.TempDir(), raw: raw, key: key,
		user: modelstest.User(t, s.DB, true), queue: jobs.NewClient(s.DB, s.Redis, testenv.Log()),
	}
}

// work runs a worker in this process until the test ends or stop is called.
func (w *world) work() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	run := worker.New(worker.Config{
		DB: w.s.DB, Redis: w.s.Redis, Key: w.key, Log: testenv.Log(), Host: models.LocalHost,
		Ctl: []string{"/proc/self/exe"}, CtlEnv: ctlEnv(w.dir),
	})
	go func() {
		defer close(done)
		if err := run.Run(ctx); err != nil {
			w.t.Errorf("worker: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return stop
}

// workerProcess runs a worker in a process of its own, on a pair of servers.
func (w *world) workerProcess() *exec.Cmd {
	w.t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{
		"LEFT4ME_TEST_PART=worker", "TEST_DSN=" + w.s.DSN, "TEST_REDIS=" + w.s.Server.URL, "TEST_KEY=" + w.raw,
		"FAKE_DIR=" + w.dir, "PATH=" + os.Getenv("PATH"),
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { // ended already where all went well
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

func (w *world) plan(verb string, a act) {
	w.t.Helper()
	raw, err := json.Marshal(a)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, verb+".json"), raw, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) release() {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "release"), nil, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) server() *models.Server { return modelstest.Server(w.t, w.s.DB, w.key, w.user) }

func (w *world) ask(args jobs.Args) *models.Job {
	w.t.Helper()
	j, err := w.queue.Enqueue(context.Background(), models.Actor{ID: w.user.ID, Name: w.user.Name}, args)
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

func (w *world) job(id int64) *models.Job {
	w.t.Helper()
	j, err := models.JobByID(context.Background(), w.s.DB, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

func (w *world) until(id int64, limit time.Duration, state models.JobState) *models.Job {
	w.t.Helper()
	var j *models.Job
	testenv.Eventually(w.t, limit, fmt.Sprintf("job %d is %s", id, state), func() bool {
		j = w.job(id)
		if j.Finished() && j.State != state {
			w.t.Fatalf("job %d (%s) ended as %s: %s", id, j.Kind, j.State, j.Message)
		}
		return j.State == state
	})
	return j
}

func (w *world) runs(verb, name string) int {
	info, err := os.Stat(filepath.Join(w.dir, "runs-"+verb+"-"+name))
	if err != nil {
		return 0
	}
	return int(info.Size())
}

func (w *world) lines(id int64) []string {
	w.t.Helper()
	rows, err := models.LogAfter(context.Background(), w.s.DB, id, 0, 10000)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for i, r := range rows {
		if r.Seq != int64(i+1) {
			w.t.Fatalf("line %d of job %d has number %d", i+1, id, r.Seq)
		}
		out = append(out, r.Text)
	}
	return out
}

func TestStartInitialisesAndStarts(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		w.plan("start", act{Lines: 1200, Events: []ctl.Event{
			{Type: ctl.EventPhase, Phase: &ctl.Phase{Key: "port", Title: "Port bound", Step: 2, Steps: 4}},
		}})
		w.work()
		srv := w.server()
		j := w.until(w.ask(jobs.StartServer{ServerID: srv.ID}).ID, 20*time.Second, models.JobSucceeded)
		if w.runs("initialize", srv.Instance) != 1 || w.runs("start", srv.Instance) != 1 {
			t.Errorf("initialize ran %d times, start %d times; want 1 and 1", w.runs("initialize", srv.Instance), w.runs("start", srv.Instance))
		}
		lines := w.lines(j.ID)
		if len(lines) != 1202 || lines[1201] != "line 1200 of run 1" {
			t.Errorf("got %d lines, the last %q; want 1202 and line 1200", len(lines), lines[len(lines)-1])
		}
		if len(j.Progress.Steps) != 1 || j.Progress.Steps[0].Key != "port" || j.Progress.Now != nil {
			t.Errorf("progress is %+v; want the one step done", j.Progress)
		}
		after, err := models.ServerByID(context.Background(), s.DB, srv.ID)
		if err != nil || after.Desired != models.ServerRunning || after.AppliedRevision != 1 {
			t.Errorf("server: desired %s, applied revision %d, %v", after.Desired, after.AppliedRevision, err)
		}
		// What the host was given is known by the sum that the host will tell.
		after.Status.Spec = w.given(srv.Instance).Sum()
		known, err := models.RememberedSpecs(context.Background(), s.DB, []models.Server{*after})
		if want, _ := models.SpecOf(context.Background(), s.DB, after); err != nil || !reflect.DeepEqual(known[srv.ID], want) {
			t.Errorf("the spec remembered is %+v (%v), want %+v", known, err, want)
		}
	})
}

// given is the spec that the host was given last.
func (w *world) given(instance string) ctl.Spec {
	w.t.Helper()
	var spec ctl.Spec
	raw, err := os.ReadFile(filepath.Join(w.dir, "stdin-initialize-"+instance))
	if err == nil {
		err = json.Unmarshal(raw, &spec)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return spec
}

func TestFailureKeepsExitCodeAndSentence(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		w.plan("install", act{Lines: 1, Codes: []int{8}, Message: "Steam could not write the files."})
		w.work()
		j := w.until(w.ask(jobs.InstallGame{}).ID, 20*time.Second, models.JobFailed)
		if j.ExitCode == nil || *j.ExitCode != 8 || j.Message != "Steam could not write the files." || j.Attempt != 1 {
			t.Errorf("ended with code %v, %q, attempt %d", j.ExitCode, j.Message, j.Attempt)
		}
	})
}

func TestTemporaryFailureIsTriedAgain(t *testing.T) {
	w := newWorld(t, testenv.EmbeddedPair(t))
	w.plan("stop", act{Codes: []int{75, 0}, Message: "busy", Retry: true})
	w.work()
	j := w.until(w.ask(jobs.StopServer{ServerID: w.server().ID}).ID, 20*time.Second, models.JobSucceeded)
	if j.Attempt != 2 {
		t.Errorf("it took %d attempts, want 2", j.Attempt)
	}
}

// What a killed worker left behind went on installing, and the next worker's attempts
// found the game busy three times within ten seconds: the job failed, and the page said
// that the game was not updated when it was.
func TestABusyHostIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	w.plan("install", act{Codes: []int{75, 75, 75, 0}, Message: "The game is busy.", Retry: true})
	w.work()
	j := w.until(w.ask(jobs.InstallGame{}).ID, time.Minute, models.JobSucceeded)
	if j.Attempt != 4 || j.MaxAttempts != 6 {
		t.Errorf("it took try %d of %d, want 4 of 6: three that could do nothing are not counted", j.Attempt, j.MaxAttempts)
	}
}

func TestCancelEndsTheWholeProcessGroup(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		w.plan("install", act{Hold: true, Child: true, Lines: 1})
		w.work()
		j := w.ask(jobs.InstallGame{})
		w.until(j.ID, 20*time.Second, models.JobRunning)
		testenv.Eventually(t, 10*time.Second, "the grandchild runs", func() bool { return grandchild(w.dir) > 0 })
		pid := grandchild(w.dir)
		if err := w.queue.Cancel(context.Background(), models.Actor{ID: w.user.ID, Name: "mira"}, j.ID); err != nil {
			t.Fatal(err)
		}
		ended := w.until(j.ID, 20*time.Second, models.JobCancelled)
		if ended.Message != "Cancelled by mira." {
			t.Errorf("message %q", ended.Message)
		}
		testenv.Eventually(t, 5*time.Second, "the grandchild is gone", func() bool { return !alive(pid) })
		if err := w.queue.Cancel(context.Background(), models.Actor{}, j.ID); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a second cancel: %v, want a conflict", err)
		}
	})
}

func grandchild(dir string) int {
	raw, err := os.ReadFile(filepath.Join(dir, "grandchild"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(raw))) // not written whole yet: zero
	return pid
}

// alive is false for a zombie too: nobody of ours reaps a grandchild.
func alive(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(raw), ") Z ")
}

func TestStopMakesWayForItself(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		w.plan("start", act{Hold: true})
		w.work()
		srv := w.server()
		start := w.ask(jobs.StartServer{ServerID: srv.ID})
		testenv.Eventually(t, 10*time.Second, "start is under way", func() bool { return w.runs("start", srv.Instance) == 1 })
		if again := w.ask(jobs.StartServer{ServerID: srv.ID}); again.ID != start.ID {
			t.Errorf("a second click made job %d, want the same job %d", again.ID, start.ID)
		}
		stop := w.ask(jobs.StopServer{ServerID: srv.ID})
		w.until(start.ID, 20*time.Second, models.JobCancelled)
		w.until(stop.ID, 20*time.Second, models.JobSucceeded)
		if n := w.runs("stop", srv.Instance); n != 1 {
			t.Errorf("stop ran %d times", n)
		}
	})
}

func TestDeleteRemovesTheRowAndKeepsItsJobs(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		w.work()
		srv := w.server()
		j := w.until(w.ask(jobs.DeleteServer{ServerID: srv.ID}).ID, 20*time.Second, models.JobSucceeded)
		if _, err := models.ServerByID(context.Background(), s.DB, srv.ID); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("the row is still there: %v", err)
		}
		if j.ServerID != "" || !j.VisibleTo(&models.User{ID: w.user.ID}) {
			t.Errorf("job: server %q; visible to its owner: %v", j.ServerID, j.VisibleTo(&models.User{ID: w.user.ID}))
		}
	})
}

func TestInstallBlocksStartsAndNotStops(t *testing.T) {
	w := newWorld(t, testenv.EmbeddedPair(t))
	w.plan("install", act{Hold: true})
	w.work()
	install := w.ask(jobs.InstallGame{})
	w.until(install.ID, 20*time.Second, models.JobRunning)
	a, b := w.server(), w.server()
	start, stop := w.ask(jobs.StartServer{ServerID: a.ID}), w.ask(jobs.StopServer{ServerID: b.ID})
	w.until(stop.ID, 20*time.Second, models.JobSucceeded)
	if j := w.job(start.ID); j.State != models.JobQueued {
		t.Errorf("the start is %s while the game is being installed", j.State)
	}
	blockers, err := models.JobBlockers(context.Background(), w.s.DB, start.ID)
	if err != nil || len(blockers) != 1 || blockers[0].ID != install.ID {
		t.Errorf("the start waits for %+v, %v; want the install", blockers, err)
	}
	w.release()
	w.until(start.ID, 20*time.Second, models.JobSucceeded)
}

// A worker that is told to stop gives its jobs back; the next one finishes them.
func TestWorkerRestartGivesJobsBack(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		w.plan("install", act{Hold: true, Lines: 10})
		stop := w.work()
		j := w.ask(jobs.InstallGame{})
		testenv.Eventually(t, 10*time.Second, "install is under way", func() bool { return w.runs("install", "") == 1 })
		stop()
		if got := w.job(j.ID); got.State != models.JobQueued {
			t.Fatalf("after the worker stopped the job is %s: %s", got.State, got.Message)
		}
		w.release()
		w.work()
		got := w.until(j.ID, 20*time.Second, models.JobSucceeded)
		if got.Attempt != 2 {
			t.Errorf("it took %d attempts, want 2", got.Attempt)
		}
		w.lines(j.ID) // numbers go on without a gap
	})
}

// A worker that is killed cannot give anything back. asynq alone would need one
// to two minutes; the sweep needs the ten seconds of the heartbeat.
func TestKilledWorkersJobsAreTakenBack(t *testing.T) {
	w := newWorld(t, testenv.ServerPair(t))
	w.plan("install", act{Hold: true, Lines: 3})
	cmd := w.workerProcess()
	j := w.ask(jobs.InstallGame{})
	testenv.Eventually(t, 20*time.Second, "install is under way", func() bool { return w.runs("install", "") == 1 })
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	killed := time.Now()
	w.release()
	w.work()
	got := w.until(j.ID, 30*time.Second, models.JobSucceeded)
	if took := time.Since(killed); took > 20*time.Second {
		t.Errorf("it took %s to finish the job of a killed worker", took)
	}
	if got.Attempt != 2 {
		t.Errorf("it took %d attempts, want 2", got.Attempt)
	}
}

// A worker that cannot store its heartbeat ends its own child before anybody else
// may take the job over, and the job is run again when the database is back.
func TestSilentDatabaseFencesTheWorker(t *testing.T) {
	w := newWorld(t, testenv.ServerPair(t))
	w.plan("install", act{Hold: true, Child: true})
	w.work()
	j := w.ask(jobs.InstallGame{})
	testenv.Eventually(t, 10*time.Second, "install is under way", func() bool { return grandchild(w.dir) > 0 })
	pid := grandchild(w.dir)
	resume := testenv.PausePostgres(t)
	testenv.Eventually(t, 25*time.Second, "the child was ended", func() bool { return !alive(pid) })
	w.release()
	resume()
	if got := w.until(j.ID, 30*time.Second, models.JobSucceeded); got.Attempt != 2 {
		t.Errorf("it took %d attempts, want 2", got.Attempt)
	}
}

// Redis flushed and killed, workers restarted: every job ends once, with its
// whole log, and no two of one server overlap (the fake's flock would say so).
func TestChaos(t *testing.T) {
	w := newWorld(t, testenv.ServerPair(t))
	w.plan("stop", act{Sleep: "100ms", Lines: 5})
	w.plan("initialize", act{Lines: 2})
	w.plan("start", act{Sleep: "50ms", Lines: 5})
	stop := w.work()
	var servers []*models.Server
	for range 6 {
		servers = append(servers, w.server())
	}
	var asked []int64
	for i := range 48 {
		srv := servers[i%6]
		if i%12 < 6 {
			asked = append(asked, w.ask(jobs.ApplyBlueprint{ServerID: srv.ID}).ID)
		} else {
			asked = append(asked, w.ask(jobs.StopServer{ServerID: srv.ID}).ID)
		}
		switch i {
		case 10, 30:
			if err := w.s.Redis.FlushAll(context.Background()).Err(); err != nil {
				t.Fatal(err)
			}
		case 20:
			w.s.Server.Kill()
			w.s.Server.Start()
		case 25, 40:
			stop()
			stop = w.work()
		}
	}
	testenv.Eventually(t, 60*time.Second, "all jobs have ended", func() bool {
		n, err := w.s.DB.NewSelect().Model((*models.Job)(nil)).Where("finished_at IS NULL").Count(context.Background())
		return err == nil && n == 0
	})
	for _, id := range asked {
		if j := w.job(id); j.State != models.JobSucceeded {
			t.Errorf("job %d (%s) ended as %s: %s", id, j.Kind, j.State, j.Message)
		}
		w.lines(id)
	}
	assertNothingHeld(t, w.s.DB)
}

func assertNothingHeld(t *testing.T, db *bun.DB) {
	t.Helper()
	if n, err := db.NewSelect().Model((*models.JobResource)(nil)).Count(context.Background()); err != nil || n != 0 {
		t.Errorf("%d resources are still held, %v", n, err)
	}
}

// The observer's child is one for the whole worker, and what it says ends in the
// host's row.
func TestObserverWritesWhatIsInstalled(t *testing.T) {
	w := newWorld(t, testenv.EmbeddedPair(t))
	w.work()
	testenv.Eventually(t, 10*time.Second, "the host's row says what is installed", func() bool {
		h, err := models.HostByName(context.Background(), w.s.DB, models.LocalHost)
		return err == nil && h.Game.Installed && !h.SeenAt.IsZero()
	})
}

// The Steam account reaches l4d2ctl before the install, by standard input alone;
// one that was forgotten is forgotten there too, once.
func TestInstallHandsOverTheSteamAccount(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, testenv.EmbeddedPair(t))
	w.work()
	install := func() *models.Job {
		t.Helper()
		return w.until(w.ask(jobs.InstallGame{}).ID, 20*time.Second, models.JobSucceeded)
	}
	install()
	if n := w.runs("steam", "login"); n != 0 {
		t.Errorf("without an account l4d2ctl steam login ran %d times", n)
	}
	if err := models.SetSteamAccount(ctx, w.s.DB, w.key, models.SteamAccount{Name: "gabe", Password: "hunter2"}); err != nil {
		t.Fatal(err)
	}
	job := install()
	got, err := os.ReadFile(filepath.Join(w.dir, "stdin-steam-login"))
	if err != nil || string(got) != "gabe\nhunter2\n" {
		t.Errorf("l4d2ctl read %q, %v", got, err)
	}
	if text := strings.Join(w.lines(job.ID), "\n"); strings.Contains(text, "hunter2") || strings.Contains(string(job.Args), "hunter2") {
		t.Errorf("the job shows the password:\n%s", text)
	}
	if err := models.ForgetSteamAccount(ctx, w.s.DB); err != nil {
		t.Fatal(err)
	}
	install()
	install()
	if n := w.runs("steam", "logout"); n != 1 {
		t.Errorf("l4d2ctl steam logout ran %d times, want once", n)
	}
}

// asynq keeps the id of a task that it archived, so the row could not be pushed
// again and would wait for ever.
func TestArchivedTaskDoesNotHoldItsJob(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		j := w.ask(jobs.StopServer{ServerID: w.server().ID})
		queue := jobs.QueueName(models.LocalHost, models.PoolInteractive)
		if err := asynq.NewInspectorFromRedisClient(s.Redis).ArchiveTask(queue, jobs.TaskID(models.Wake{ID: j.ID})); err != nil {
			t.Fatal(err)
		}
		w.work()
		w.until(j.ID, 20*time.Second, models.JobSucceeded)
	})
}

// A restart that is wanted as soon as nobody plays waits for that, is done once, and
// a failed one is not asked for again and again.
func TestRestartWhenEmpty(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx, w := context.Background(), newWorld(t, s)
		srv := w.server()
		observe := func(players int) {
			t.Helper()
			_, _, err := models.Observe(ctx, s.DB, models.Observation{
				Host: models.LocalHost, Instance: srv.Instance, State: models.ServerRunning,
				Status: models.ServerStatus{Live: &models.Live{Players: players}},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		wanted := func() bool {
			t.Helper()
			now, err := models.ServerByID(ctx, s.DB, srv.ID)
			if err != nil {
				t.Fatal(err)
			}
			return now.ApplyWhenEmpty
		}
		if err := models.SetDesired(ctx, s.DB, srv.ID, models.ServerRunning); err != nil {
			t.Fatal(err)
		}
		observe(2)
		w.hostHas(ctl.Status{Name: srv.Instance, State: ctl.ServerRunning})
		w.work()
		j := w.until(w.ask(jobs.RestartServer{ServerID: srv.ID, IfEmpty: true, OrLater: true}).ID, 20*time.Second, models.JobSucceeded)
		if w.runs("stop", srv.Instance) != 0 || !wanted() {
			t.Fatalf("with 2 on it, it was stopped %d times; wanted later: %t; the job says %q", w.runs("stop", srv.Instance), wanted(), j.Notices)
		}
		w.plan("start", act{Codes: []int{1}, Message: "The game is broken."})
		observe(0)
		testenv.Eventually(t, 20*time.Second, "it is restarted", func() bool { return w.runs("start", srv.Instance) == 1 })
		testenv.Eventually(t, 20*time.Second, "the restart has failed", func() bool {
			list, err := models.Jobs(ctx, s.DB, models.JobFilter{User: w.user, ServerID: srv.ID, Limit: 10})
			return err == nil && len(list) == 2 && list[0].State == models.JobFailed
		})
		if wanted() {
			t.Error("the wish is still there after a restart that failed")
		}
	})
}
