package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/jobs/worker"
	"left4me/models"
	"left4me/models/modelstest"
)

// shop is a worker with the real l4d2ctl on a pair of stores, and the files of its
// host as pages see them.
type shop struct {
	*site
	db    testenv.Stores
	key   *models.SecretKey
	user  *models.User
	queue *jobs.Client
	files *overlay.Store
}

func newShop(t *testing.T, db testenv.Stores) *shop {
	t.Helper()
	site := newSite(t, true)
	site.workshop() // before the worker takes the environment over
	s := &shop{site: site, db: db, key: modelstest.Key(t), user: modelstest.User(t, db.DB, false)}
	s.queue = jobs.NewClient(db.DB, db.Redis, testenv.Log())
	s.files = &overlay.Store{Root: s.data}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	w := worker.New(worker.Config{
		DB: db.DB, Redis: db.Redis, Key: s.key, Log: testenv.Log(), Host: models.LocalHost,
		Ctl: []string{filepath.Join(bin, "l4d2ctl")}, CtlEnv: append(slices.Clone(s.env), "LEFT4ME_ROOT="+s.data),
	})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			t.Errorf("worker: %v", err)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return s
}

// do asks for a job and waits until it succeeded.
func (s *shop) do(args jobs.Args) *models.Job {
	s.t.Helper()
	ctx := context.Background()
	j, err := s.queue.Enqueue(ctx, models.Actor{ID: s.user.ID, Name: s.user.Name}, args)
	if err != nil {
		s.t.Fatal(err)
	}
	testenv.Eventually(s.t, 2*time.Minute, args.Kind()+" ends", func() bool {
		if j, err = models.JobByID(ctx, s.db.DB, j.ID); err != nil {
			s.t.Fatal(err)
		}
		return j.Finished()
	})
	if j.State != models.JobSucceeded {
		lines, _ := models.LogAfter(ctx, s.db.DB, j.ID, 0, 1000) // only for the message
		for _, l := range lines {
			s.t.Log(l.Text)
		}
		s.t.Fatalf("%s ended as %s: %s", args.Kind(), j.State, j.Message)
	}
	return j
}

// upload brings text to the host in two chunks, as a browser does, and adds it to
// the draft.
func (s *shop) upload(o *models.Overlay, path, text string) {
	s.t.Helper()
	ctx := context.Background()
	u := &models.Upload{UserID: s.user.ID, OverlayID: o.ID, Name: filepath.Base(path), Size: int64(len(text))}
	if err := models.CreateUpload(ctx, s.db.DB, u); err != nil {
		s.t.Fatal(err)
	}
	half := len(text) / 2
	for _, chunk := range []struct {
		at   int
		text string
	}{{0, text[:half]}, {half, text[half:]}} {
		n, err := s.files.Append(u.ID, int64(chunk.at), strings.NewReader(chunk.text))
		if err == nil {
			err = models.UploadReceived(ctx, s.db.DB, u, n)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if s.cred != nil { // the host's programs are another user's than this test
		for _, file := range []string{"uploads", "uploads/" + u.ID} {
			if err := os.Chown(filepath.Join(s.data, file), int(s.cred.Uid), int(s.cred.Gid)); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	change := models.DraftChange{Op: string(ctl.FilePut), Path: path, UploadID: u.ID, Name: u.Name, Size: u.Size}
	if err := models.AddDraftChanges(ctx, s.db.DB, o.ID, []models.DraftChange{change}); err != nil {
		s.t.Fatal(err)
	}
}

// sees is what the running game has at a path.
func (s *shop) sees(instance, path string) string {
	s.t.Helper()
	st := s.status(instance)
	if st.State != ctl.ServerRunning || st.PID == 0 {
		s.t.Fatalf("the host says %s: %s", st.State, st.Message)
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cwd/%s", st.PID, path))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(raw)
}

// Bytes of a browser become a version, a blueprint stacks it, the game sees it; the
// next version reaches the server at its next start and not before.
func TestUploadReachesTheGame(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, db testenv.Stores) {
		ctx := context.Background()
		s := newShop(t, db)
		s.do(jobs.InstallGame{})
		const motd = "left4dead2/cfg/hello.txt"
		o := modelstest.Overlay(t, db.DB, s.user, models.OverlayFiles)
		s.upload(o, motd, "hello from version one\n")
		s.upload(o, "left4dead2/cfg/server.cfg", "sv_alltalk 1\n")
		job := s.do(jobs.BuildOverlay{OverlayID: o.ID, Why: "First."})

		m, err := s.files.Manifest(o.ID, 1)
		if err != nil || m.By != s.user.Name || m.Why != "First." || !m.ServerCfg {
			t.Fatalf("the manifest of version 1: %+v, %v", m, err)
		}
		v, err := models.OverlayVersionByNumber(ctx, db.DB, o.ID, 1)
		if err != nil || v.JobID != job.ID || v.Files != 2 || v.Size != m.Size {
			t.Errorf("the row of version 1: %+v, %v", v, err)
		}
		if draft, err := models.DraftChanges(ctx, db.DB, o.ID); err != nil || len(draft) != 0 {
			t.Errorf("left of the draft: %+v, %v", draft, err)
		}

		srv := modelstest.Server(t, db.DB, s.key, s.user)
		b, err := models.BlueprintByID(ctx, db.DB, s.user.ID, srv.BlueprintID)
		if err != nil {
			t.Fatal(err)
		}
		b.Arguments = []string{"+map", "c1m1_hotel"}
		if err := models.UpdateBlueprint(ctx, db.DB, b); err != nil {
			t.Fatal(err)
		}
		if err := models.SetBlueprintOverlays(ctx, db.DB, s.user.ID, b.ID, []models.Stacked{{ID: o.ID, Exec: true}}); err != nil {
			t.Fatal(err)
		}
		s.do(jobs.StartServer{ServerID: srv.ID})
		if got := s.sees(srv.Instance, motd); got != "hello from version one\n" {
			t.Errorf("the game sees %q", got)
		}
		if got := s.sees(srv.Instance, "left4dead2/cfg/server.cfg"); !strings.Contains(got, fmt.Sprintf("exec server_overlay_%d", o.ID)) {
			t.Errorf("the overlay's server.cfg is not executed:\n%s", got)
		}

		s.upload(o, motd, "hello from version two\n")
		s.do(jobs.BuildOverlay{OverlayID: o.ID, Why: "Second."})
		if got := s.sees(srv.Instance, motd); got != "hello from version one\n" {
			t.Errorf("a published version changed a running server: it sees %q", got)
		}
		pending, err := models.ServerByID(ctx, db.DB, srv.ID)
		if err != nil || pending.AppliedRevision == pending.Blueprint.Revision {
			t.Errorf("the server shows no pending change: revision %d of %d, %v", pending.AppliedRevision, pending.Blueprint.Revision, err)
		}
		s.do(jobs.CollectOverlays{}) // version 1 is mounted: it must stay
		s.do(jobs.StopServer{ServerID: srv.ID})
		s.do(jobs.StartServer{ServerID: srv.ID})
		if got := s.sees(srv.Instance, motd); got != "hello from version two\n" {
			t.Errorf("after a restart the game sees %q", got)
		}
		if used := s.status(srv.Instance).Applied.Overlays; !slices.Equal(used, []string{fmt.Sprintf("%d/v2", o.ID)}) {
			t.Errorf("it was started with %v", used)
		}
		s.do(jobs.DeleteServer{ServerID: srv.ID})
		if err := models.SetBlueprintOverlays(ctx, db.DB, s.user.ID, b.ID, nil); err != nil {
			t.Fatal(err)
		}
		s.do(jobs.DeleteOverlay{OverlayID: o.ID})
		if left, err := filepath.Glob(filepath.Join(s.data, "overlays", fmt.Sprint(o.ID), "v*")); err != nil || len(left) != 0 {
			t.Errorf("of the deleted overlay the host has %v, %v", left, err)
		}
	})
}

// Numbers that somebody pasted become rows, a version and files that the game has;
// what cannot be had and what is refused keep their sentences.
func TestPastedItemsReachTheGame(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, db testenv.Stores) {
		const good, ghost, removed, zip = "3100000003", "3100000010", "3110000001", "3110000032"
		ctx := context.Background()
		s := newShop(t, db)
		s.do(jobs.InstallGame{})
		o := modelstest.Overlay(t, db.DB, s.user, models.OverlayWorkshop)
		if _, err := models.AddOverlayItems(ctx, db.DB, o.ID, []string{good, ghost, removed, zip}); err != nil {
			t.Fatal(err)
		}
		s.do(jobs.DownloadWorkshop{OverlayID: o.ID})
		rows, err := models.WorkshopItems(ctx, db.DB, []string{good, ghost, removed, zip})
		if err != nil || len(rows) != 4 {
			t.Fatalf("known items: %+v, %v", rows, err)
		}
		if rows[good].State != "stored" || rows[good].Title != "Lighthouse Stand" || rows[removed].Stamp != "" || !strings.Contains(string(rows[zip].Report), "ZIP") {
			t.Errorf("known items: %+v, %+v, %+v", rows[good], rows[removed], rows[zip])
		}
		testenv.Eventually(t, 2*time.Minute, "the overlay is built", func() bool {
			got, err := models.OverlayByID(ctx, db.DB, o.ID)
			return err == nil && got.Version == 1
		})
		// Nothing new: neither a click nor the clock makes a version of the same.
		s.do(jobs.DownloadWorkshop{OverlayID: o.ID})
		s.do(jobs.RefreshOverlays{})
		builds, err := db.DB.NewSelect().Model((*models.Job)(nil)).Where("kind = ?", jobs.BuildOverlay{}.Kind()).Count(ctx)
		if err != nil || builds != 1 {
			t.Errorf("%d builds, %v; want 1", builds, err)
		}

		srv := modelstest.Server(t, db.DB, s.key, s.user)
		if err := models.SetBlueprintOverlays(ctx, db.DB, s.user.ID, srv.BlueprintID, []models.Stacked{{ID: o.ID}}); err != nil {
			t.Fatal(err)
		}
		s.do(jobs.StartServer{ServerID: srv.ID})
		for _, id := range []string{good, ghost} {
			if text := s.sees(srv.Instance, "left4dead2/addons/"+id+".vpk"); !strings.HasPrefix(text, "\x34\x12\xaa\x55") {
				t.Errorf("the add-on %s begins with %q", id, text[:min(len(text), 4)])
			}
		}
		pid := s.status(srv.Instance).PID
		if left, err := filepath.Glob(fmt.Sprintf("/proc/%d/cwd/left4dead2/addons/311*.vpk", pid)); err != nil || len(left) != 0 {
			t.Errorf("the game has what was refused: %v, %v", left, err)
		}
		s.do(jobs.StopServer{ServerID: srv.ID})
	})
}

// Scripts of a folder become shared overlays once, keep their ids, and are built
// when they changed.
func TestSeedingScripts(t *testing.T) {
	s := newSite(t, true)
	s.up()
	s.signIn()
	dir := filepath.Join(filepath.Dir(filepath.Dir(s.data)), "recipes")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	seed := func(want ...string) {
		t.Helper()
		contains(t, []string{s.run("left4me", "overlay", "seed", dir, "--as", "admin", "--data", s.data)}, want...)
	}
	script := "#!/bin/bash\n# Something for every server.\n# name: Standard\nmkdir -p left4dead2/cfg\necho %s > left4dead2/cfg/made.txt\n"
	write("standard.sh", fmt.Sprintf(script, "one"))
	write("tickrate.sh", "mkdir -p left4dead2\n")
	write("README.md", "no script")
	seed("standard.sh: made the overlay “Standard” (1); job", "tickrate.sh: made the overlay “tickrate” (2); job")
	seed("standard.sh: the overlay “Standard” (1) has this script already.", "tickrate.sh: the overlay “tickrate” (2) has this script already.")
	write("standard.sh", strings.ReplaceAll(fmt.Sprintf(script, "two"), "\n", "\r\n"))
	seed("standard.sh: gave the overlay “Standard” (1) the new script; job", "tickrate.sh: the overlay “tickrate” (2) has this script already.")

	s.refuses("there is no user mira", "overlay", "seed", dir, "--as", "mira", "--data", s.data)
	s.run("left4me", "user", "add", "mira", "--data", s.data)
	s.refuses("mira is no administrator", "overlay", "seed", dir, "--as", "mira", "--data", s.data)
	s.refuses("there is no script (*.sh) in "+s.data, "overlay", "seed", s.data, "--data", s.data)
	write("again.sh", "# name: STANDARD\n")
	s.refuses("are both named", "overlay", "seed", dir, "--data", s.data)
	write("again.sh", "# name: Long\n"+strings.Repeat("#", models.MaxScriptBytes))
	s.refuses("again.sh: The script is too large: at most 256 KB", "overlay", "seed", dir, "--data", s.data)

	// What was asked for on the shell is carried out by the running worker.
	made := filepath.Join(s.data, "overlays/1/v*/left4dead2/cfg/made.txt")
	testenv.Eventually(t, 2*time.Minute, "the seeded overlay is built with its new script", func() bool {
		files, err := filepath.Glob(made)
		if err != nil || len(files) == 0 {
			return false
		}
		raw, err := os.ReadFile(files[len(files)-1])
		return err == nil && string(raw) == "two\n"
	})
}
