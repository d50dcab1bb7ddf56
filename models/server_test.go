package models_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

// field is the field that err complains about, or the error itself.
func field(err error) string {
	if bad, ok := models.AsInvalid(err); ok {
		return bad.Field
	}
	if err == nil {
		return "nothing"
	}
	return err.Error()
}

func TestServerRefusals(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key := context.Background(), modelstest.Key(t)
		me, other := modelstest.User(t, db, false), modelstest.User(t, db, false)
		mine, theirs := modelstest.Blueprint(t, db, me), modelstest.Blueprint(t, db, other)
		first := &models.Server{UserID: me.ID, BlueprintID: mine.ID, Name: "Friday versus", Port: 27100}
		if err := models.CreateServer(ctx, db, key, first); err != nil {
			t.Fatal(err)
		}
		tests := map[string]struct {
			s    models.Server
			want string
		}{
			"no name":                    {models.Server{BlueprintID: mine.ID, Name: " "}, "name"},
			"a long name":                {models.Server{BlueprintID: mine.ID, Name: strings.Repeat("ä", 65)}, "name"},
			"a name with a control":      {models.Server{BlueprintID: mine.ID, Name: "a\x1b[31m"}, "name"},
			"the same name in capitals":  {models.Server{BlueprintID: mine.ID, Name: "FRIDAY VERSUS"}, "name"},
			"a port below 1024":          {models.Server{BlueprintID: mine.ID, Name: "a", Port: 80}, "port"},
			"a port above 65535":         {models.Server{BlueprintID: mine.ID, Name: "a", Port: 65536}, "port"},
			"a negative port":            {models.Server{BlueprintID: mine.ID, Name: "a", Port: -1}, "port"},
			"SourceTV's port":            {models.Server{BlueprintID: mine.ID, Name: "a", Port: 27020}, "port"},
			"a port that is taken":       {models.Server{BlueprintID: mine.ID, Name: "a", Port: 27100}, "port"},
			"a host name with a newline": {models.Server{BlueprintID: mine.ID, Name: "a", Hostname: "a\nrcon_password x"}, "hostname"},
			"a long host name":           {models.Server{BlueprintID: mine.ID, Name: "a", Hostname: strings.Repeat("a", 129)}, "hostname"},
			"somebody else's blueprint":  {models.Server{BlueprintID: theirs.ID, Name: "a"}, "blueprint"},
			"no blueprint":               {models.Server{Name: "a"}, "blueprint"},
		}
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				test.s.UserID = me.ID
				if err := models.CreateServer(ctx, db, key, &test.s); field(err) != test.want {
					t.Errorf("CreateServer complains about %s, want %s", field(err), test.want)
				}
			})
		}
		if list, err := models.Servers(ctx, db, me.ID); err != nil || len(list) != 1 {
			t.Errorf("after the refusals there are %d servers, %v; want 1", len(list), err)
		}
	})
}

func TestServerNamesAndPorts(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key, me := context.Background(), modelstest.Key(t), modelstest.User(t, db, false)
		b := modelstest.Blueprint(t, db, me)
		tests := map[string]string{
			"Friday versus":          `^friday-versus-[a-z0-9]{4}$`,
			"  ¡Über! 2 ":            `^ber-2-[a-z0-9]{4}$`,
			"生存者":                    `^server-[a-z0-9]{4}$`,
			"--- ../../etc ---":      `^etc-[a-z0-9]{4}$`,
			strings.Repeat("a ", 31): `^(a-)+[a-z0-9]{4}$`,
		}
		ports := map[int]bool{}
		for name, want := range tests {
			s := &models.Server{UserID: me.ID, BlueprintID: b.ID, Name: name}
			if err := models.CreateServer(ctx, db, key, s); err != nil {
				t.Fatalf("create %q: %v", name, err)
			}
			if !regexp.MustCompile(want).MatchString(s.Instance) || len(s.Instance) > 40 {
				t.Errorf("%q is called %q on the host, want %s", name, s.Instance, want)
			}
			if ports[s.Port] || s.Port < 27015 || s.Port == 27020 {
				t.Errorf("%q got port %d", name, s.Port)
			}
			ports[s.Port] = true
			password, err := key.Open(s.RCONOwner(), s.RCONPassword)
			if err != nil || !regexp.MustCompile(`^[A-Za-z0-9]{24}$`).MatchString(password) {
				t.Errorf("its password is %q, %v", password, err)
			}
		}
	})
}

// Fifty people press the button at once: every server gets a port of its own,
// and whoever loses a race is told so.
func TestPortsUnderParallelRequests(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key, me := context.Background(), modelstest.Key(t), modelstest.User(t, db, false)
		b := modelstest.Blueprint(t, db, me)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
					return models.CreateServer(ctx, tx, key, &models.Server{UserID: me.ID, BlueprintID: b.ID, Name: models.NewID()})
				})
				if err != nil && field(err) != "port" {
					t.Errorf("create: %v", err)
				}
			})
		}
		all.Wait()
		list, err := models.Servers(ctx, db, me.ID)
		if err != nil || len(list) == 0 {
			t.Fatalf("%d servers, %v", len(list), err)
		}
		seen := map[int]bool{}
		for _, s := range list {
			if seen[s.Port] {
				t.Errorf("two servers have port %d", s.Port)
			}
			seen[s.Port] = true
		}
	})
}

func TestObserveKnowsOnlyItsServers(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key, me := context.Background(), modelstest.Key(t), modelstest.User(t, db, false)
		s := modelstest.Server(t, db, key, me)
		since := models.Now().Add(-time.Hour)
		seen := models.Observation{
			Host: s.Host, Instance: s.Instance, State: models.ServerRunning, Since: since,
			Status: models.ServerStatus{Live: &models.Live{Map: "c1m1_hotel", Names: []models.Player{{Name: `Coach<2><"> 生`}}}},
		}
		id, user, err := models.Observe(ctx, db, seen)
		if err != nil || id != s.ID || user != me.ID {
			t.Fatalf("Observe = %s, %s, %v", id, user, err)
		}
		got, err := models.ServerByInstance(ctx, db, me.ID, s.Instance)
		if err != nil || got.Observed != models.ServerRunning || !got.ObservedSince.Equal(since) || got.Status.Live.Names[0].Name != `Coach<2><"> 生` {
			t.Errorf("stored: %+v, %v", got, err)
		}
		seen.Instance = "somebody-elses"
		if _, _, err := models.Observe(ctx, db, seen); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("an unknown instance: %v, want not found", err)
		}
		if _, err := models.ServerByInstance(ctx, db, modelstest.User(t, db, true).ID, s.Instance); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("somebody else's server: %v, want not found", err)
		}
	})
}

// Two blueprints with the same revision number: a switched server is not up to
// date because the numbers are equal.
func TestSwitchedServerIsNotUpToDate(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key, me := context.Background(), modelstest.Key(t), modelstest.User(t, db, false)
		s := modelstest.Server(t, db, key, me)
		if err := models.SetApplied(ctx, db, s.ID, 1); err != nil {
			t.Fatal(err)
		}
		s.BlueprintID = modelstest.Blueprint(t, db, me).ID
		if err := models.UpdateServer(ctx, db, s); err != nil {
			t.Fatal(err)
		}
		got, err := models.ServerByID(ctx, db, s.ID)
		if err != nil || got.AppliedRevision == got.Blueprint.Revision {
			t.Errorf("applied revision %d of blueprint revision %d, %v; want them to differ", got.AppliedRevision, got.Blueprint.Revision, err)
		}
	})
}
