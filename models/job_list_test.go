package models_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

// TestJobLists asks for lists in every way: whose jobs they hold, in which order and
// where a page ends.
func TestJobLists(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		key := modelstest.Key(t)
		me, other, admin := modelstest.User(t, db, false), modelstest.User(t, db, false), modelstest.User(t, db, true)
		mine, theirs := modelstest.Server(t, db, key, me), modelstest.Server(t, db, key, other)
		add := func(by string, srv *models.Server, ended bool) int64 {
			t.Helper()
			j := &models.Job{Kind: "server.start", Host: models.LocalHost, Pool: models.PoolInteractive, Title: "Start", Args: []byte("{}"), UserID: by, OwnerID: srv.UserID, ServerID: srv.ID, MaxAttempts: 1}
			if err := models.InsertJob(ctx, db, j, nil); err != nil {
				t.Fatal(err)
			}
			if ended {
				if _, err := models.CancelJob(ctx, db, j.ID, "over"); err != nil {
					t.Fatal(err)
				}
			}
			return j.ID
		}
		add(me.ID, mine, true)      // 1
		add(other.ID, theirs, true) // 2
		add(admin.ID, mine, false)  // 3: on my server
		add(me.ID, theirs, false)   // 4: I asked
		add("", mine, true)         // 5: by the system
		add(other.ID, theirs, false)
		add(me.ID, mine, false) // 7
		tests := map[string]struct {
			filter models.JobFilter
			want   string
		}{
			"mine":                       {models.JobFilter{User: me, Limit: 10}, "[7 5 4 3 1]"},
			"mine, a page":               {models.JobFilter{User: me, Limit: 2}, "[7 5]"},
			"mine, the next page":        {models.JobFilter{User: me, Limit: 2, Before: 5}, "[4 3]"},
			"mine, under way":            {models.JobFilter{User: me, Limit: 10, Unfinished: true}, "[7 4 3]"},
			"mine, one under way":        {models.JobFilter{User: me, Limit: 1, Unfinished: true}, "[7]"},
			"of my server":               {models.JobFilter{User: me, Limit: 10, ServerID: mine.ID}, "[7 5 3 1]"},
			"of their server":            {models.JobFilter{User: me, Limit: 10, ServerID: theirs.ID}, "[4]"},
			"theirs":                     {models.JobFilter{User: other, Limit: 10}, "[6 4 2]"},
			"of an admin":                {models.JobFilter{User: admin, Limit: 10}, "[7 6 5 4 3 2 1]"},
			"of an admin, under way":     {models.JobFilter{User: admin, Limit: 2, Unfinished: true}, "[7 6]"},
			"of an admin, of one server": {models.JobFilter{User: admin, Limit: 10, ServerID: theirs.ID}, "[6 4 2]"},
		}
		for name, tt := range tests {
			list, err := models.Jobs(ctx, db, tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			ids := []int64{}
			for _, j := range list {
				ids = append(ids, j.ID)
			}
			if got := fmt.Sprint(ids); got != tt.want {
				t.Errorf("%s: %s, want %s", name, got, tt.want)
			}
		}
	})
}
