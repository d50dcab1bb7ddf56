package webui

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"left4me/models"
)

// TestAttack13DecideByItself: each right is decided before a handler runs. Handlers look
// again at whose a thing is, so that a decision that lets everybody through is seen on no
// page: here it is.
func TestAttack13DecideByItself(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), context.Background()
	th := s.thingsFor(t, "", nil)
	values := map[string]string{
		"instance": th.srv.Instance, "id": th.srv.BlueprintID, "overlay": fmt.Sprint(th.overlay.ID), "number": fmt.Sprint(th.job.ID),
	}
	people := []*models.User{nil, th.owner, th.other, th.admin}
	const yes, sign, admins, none = "yes", "sign in", "for administrators", "not found"
	word := func(err error) string {
		switch {
		case err == nil:
			return yes
		case errors.Is(err, errStranger):
			return sign
		case errors.Is(err, errNotAdmin):
			return admins
		case errors.Is(err, models.ErrNotFound):
			return none
		}
		return err.Error()
	}
	rights := map[right][4]string{ // a stranger, the owner, somebody else, an administrator
		anyone: {yes, yes, yes, yes}, signedIn: {sign, yes, yes, yes}, adminOnly: {sign, admins, admins, yes}, metrics: {none, none, none, yes},
		ownServer: {sign, yes, none, none}, ownBlueprint: {sign, yes, none, none},
		seeOverlay: {sign, yes, none, none}, changeOverlay: {sign, yes, none, none}, judgeOverlay: {sign, yes, none, yes},
		seeJob: {sign, yes, none, yes}, seeJob + 1: {sign, none, none, none},
	}
	for need := anyone; need <= seeJob+1; need++ {
		want, known := rights[need]
		if !known {
			t.Errorf("the right %d is not in the table", need)
		}
		for i, u := range people {
			if got := word(s.decide(ctx, u, need, func(name string) string { return values[name] })); got != want[i] {
				t.Errorf("right %d for person %d: %s, want %s", need, i, got, want[i])
			}
			if parameter[need] != "" && u != nil {
				if got := word(s.decide(ctx, u, need, func(string) string { return "999999" })); got != none {
					t.Errorf("right %d for person %d to what does not exist: %s", need, i, got)
				}
			}
		}
	}
	feeds := map[string]right{
		"strip": signedIn, "servers": signedIn, "game": signedIn, "jobs:unfinished": signedIn, "admin-health": adminOnly, "admin-anything": adminOnly,
		"server:" + th.srv.Instance: ownServer, "server-console:" + th.srv.Instance: ownServer, "server-players:" + th.srv.Instance: ownServer,
		"console:" + th.srv.Instance: ownServer, "blueprint:" + th.srv.BlueprintID: ownBlueprint, "overlay:" + values["overlay"]: seeOverlay, "job:" + values["number"]: seeJob,
		"": seeJob + 1, "serverx:" + th.srv.Instance: seeJob + 1, "-server:" + th.srv.Instance: seeJob + 1, "Server:" + th.srv.Instance: seeJob + 1,
	}
	for name, need := range feeds {
		for i, u := range people {
			want := rights[need][i]
			if need > seeJob {
				want = none
			}
			if got := word(s.decideFeed(ctx, u, name)); got != want {
				t.Errorf("feed %q for person %d: %s, want %s", name, i, got, want)
			}
		}
	}
}
