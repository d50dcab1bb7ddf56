package webui

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"left4me/models"
	"left4me/models/modelstest"
)

// A port that is left empty becomes the next free one, of a server that there is, too.
func TestEmptyPortIsTheNextFreeOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := modelstest.User(t, s.db, false)
	first, second := modelstest.Server(t, s.db, s.key, me), modelstest.Server(t, s.db, s.key, me)
	b, page := s.browser(me), "/servers/"+second.Instance
	if first.Port != 27015 || second.Port != 27016 {
		t.Fatalf("ports %d and %d", first.Port, second.Port)
	}
	b.get(page+"/settings").want(t, 200, "the port is the next free one: 27017.", `value="27016"`)
	form := url.Values{"name": {second.Name}, "port": {""}, "blueprint": {second.BlueprintID}}
	b.post(page, form, hx("server-form")...).want(t, 200, `value="27017"`, "Saved")
	b.get(page+"/settings").want(t, 200, `value="27017"`, "the next free one: 27016.")
	form.Set("port", "0")
	b.post(page, form).want(t, 422, "Choose a port from 1024 to 65535")
	form.Set("port", "27015")
	b.post(page, form).want(t, 422, "Port 27015 is used by your server", `aria-describedby="h-port w-port" aria-invalid="true"`)
}

func TestAttack24RCONPasswordIsRenewed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := context.Background()
	me := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, me)
	password := func() string {
		t.Helper()
		now, err := models.ServerByID(ctx, s.db, srv.ID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := s.key.Open(now.RCONOwner(), now.RCONPassword)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	b, page := s.browser(me), "/servers/"+srv.Instance
	before := password()
	b.post(page+"/rcon/renew", nil).want(t, 200, "Make a new RCON password for “"+srv.Name+"”?", "until it is started anew")
	if password() != before {
		t.Error("it was renewed before anybody was sure")
	}
	b.post(page+"/rcon/renew", url.Values{"sure": {"yes"}}).want(t, 303)
	after := password()
	if after == before || len(after) != len(before) {
		t.Errorf("the password was %q and is %q", before, after)
	}
	held, err := models.UnfinishedJobs(ctx, s.db, srv.ID)
	if err != nil || len(held) != 1 || held[0].Kind != "blueprint.apply" {
		t.Errorf("jobs %+v, %v; want that the host is given it", held, err)
	}
	entries, err := models.AuditEntries(ctx, s.db, 10)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range entries {
		found = found || e.Action == "server.renew_rcon" && e.Subject == "server:"+srv.Instance
		if strings.Contains(e.Detail+e.Subject, after) || strings.Contains(e.Detail+e.Subject, before) {
			t.Errorf("the audit log has the password: %+v", e)
		}
	}
	if !found {
		t.Errorf("the audit log does not have it: %+v", entries)
	}
	for _, path := range []string{page, page + "/settings", page + "/jobs", "/jobs"} {
		if text := b.get(path).Text; strings.Contains(text, after) || strings.Contains(text, before) {
			t.Errorf("%s shows the password without being asked", path)
		}
	}
	shown := b.post(page+"/rcon", nil)
	shown.want(t, 200, after)
	if strings.Contains(shown.Text, "may still have the password from then") {
		t.Error("a server that does not run is said to have a former password")
	}
	o := models.Observation{Host: srv.Host, Instance: srv.Instance, State: models.ServerRunning, Status: models.ServerStatus{Pending: true}}
	if _, _, err := models.Observe(ctx, s.db, o); err != nil {
		t.Fatal(err)
	}
	b.post(page+"/rcon", nil, hx("server-rcon")...).want(t, 200, after, "may still have the password from then")
}
