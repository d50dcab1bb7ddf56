package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"left4me/models"
	"left4me/models/modelstest"
)

// TestAttack11HTMLInJobs: what a job is called, was given, said and failed with stays
// text on every page that shows jobs, in the live stream and in the downloaded log.
func TestAttack11HTMLInJobs(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, true)
	const bad = `<img src=x onerror=alert(1)></script><script>alert(2)</script>`
	args, err := json.Marshal(map[string]string{"server_id": bad})
	if err != nil {
		t.Fatal(err)
	}
	j := &models.Job{Kind: "server.start", Host: models.LocalHost, Pool: models.PoolInteractive, Title: bad, UserID: u.ID, OwnerID: u.ID, Args: args, MaxAttempts: 1}
	if err := models.InsertJob(ctx, s.db, j, nil); err != nil {
		t.Fatal(err)
	}
	if j, err = models.ClaimJob(ctx, s.db, j.ID, bad); err != nil {
		t.Fatal(err)
	}
	s.write(j, bad)
	if err := models.FinishJob(ctx, s.db, j.ID, 1, models.Ending{State: models.JobFailed, Message: bad, Notices: []string{bad}}); err != nil {
		t.Fatal(err)
	}
	b, at := s.browser(u), fmt.Sprintf("/jobs/%d", j.ID)
	for _, path := range []string{"/jobs", at, at + "/log", "/servers", "/admin/audit"} {
		got := b.get(path)
		got.want(t, 200)
		if strings.Contains(got.Text, "<img src=x") || strings.Contains(got.Text, "<script>alert") {
			t.Errorf("%s holds the job's markup", path)
		}
	}
	b.get(at).want(t, 200, "&lt;img src=x onerror=alert(1)&gt;")
	file := b.get(at + "/log.txt")
	if file.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(file.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("the log is sent as %q", file.Header.Get("Content-Type"))
	}
	l := b.listen(fmt.Sprintf("topics=job:%d", j.ID))
	for range 10 {
		e, ok := l.next("")
		if !ok || e.name == "finished" {
			break
		}
		if strings.Contains(e.data, "<script>alert") || strings.Contains(e.data, "<img src=x") {
			t.Errorf("the event %s carries markup: %s", e.name, clip(e.data, 300))
		}
	}
}

// TestAttack16FeedsOfOthers: every live feed that names a thing is not found for
// anybody else, beside a feed that they may have, too; no list of jobs or servers
// counts what is not theirs.
func TestAttack16FeedsOfOthers(t *testing.T) {
	s := newSite(t)
	th := s.thingsFor(t, "", nil)
	mine, theirs, boss := s.browser(th.owner), s.browser(th.other), s.browser(th.admin)
	things := map[right]string{
		ownServer: th.srv.Instance, ownBlueprint: th.srv.BlueprintID, seeOverlay: fmt.Sprint(th.overlay.ID), seeJob: fmt.Sprint(th.job.ID),
	}
	for family, need := range feedRights {
		thing, named := things[need]
		if !named {
			if need == adminOnly {
				theirs.get("/events?topics="+family).want(t, 403)
			}
			continue
		}
		topic := family + ":" + thing
		theirs.get("/events?topics="+topic).want(t, 404)
		theirs.get("/events?topics=strip,"+topic).want(t, 404)
		if need != seeJob {
			boss.get("/events?topics="+topic).want(t, 404) // an administrator owns no more than others
		}
		s.browser(nil).get("/events?topics="+topic).want(t, 401)
	}
	for _, path := range []string{"/jobs", "/jobs?state=unfinished", "/servers", "/servers?q=server", "/overlays", "/blueprints", "/account"} {
		if got := theirs.get(path).Text; strings.Contains(got, th.srv.Name) || strings.Contains(got, th.srv.Instance) {
			t.Errorf("%s shows somebody else's thing", path)
		}
	}
	mine.get("/jobs").want(t, 200, th.job.Title)
}
