package models_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

// Whatever a player, an author or a user writes can be stored on both databases and
// comes back as it was; only a NUL cannot.
func TestAttack10StrangersTextInJSON(t *testing.T) {
	texts := map[string]string{
		"an escape typed out":    `a\u0000b`,
		"two backslashes before": `\\u0000`,
		"three backslashes":      `\\\u0000`,
		"half an escape":         `\u000`,
		"quotation marks":        `"';--\"`,
		"a backslash at the end": `\`,
		"markup":                 "<b>\u2028&amp;",
		"a NUL":                  "a\x00\\u0000",
	}
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key := context.Background(), modelstest.Key(t)
		s := modelstest.Server(t, db, key, modelstest.User(t, db, false))
		for name, text := range texts {
			want := text
			if name == "a NUL" {
				want = "a\uFFFD\\u0000"
			}
			_, _, err := models.Observe(ctx, db, models.Observation{
				Host: s.Host, Instance: s.Instance, State: models.ServerRunning, Status: models.ServerStatus{Message: text},
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got, err := models.ServerByID(ctx, db, s.ID); err != nil || got.Status.Message != want {
				t.Errorf("%s: stored %q, %v; want %q", name, got.Status.Message, err, want)
			}
			raw, err := json.Marshal(map[string]string{"title": text})
			if err != nil {
				t.Fatal(err)
			}
			if err := models.SaveWorkshopItem(ctx, db, &models.WorkshopItem{ID: "1", State: "stored", Title: text, Report: raw}); err != nil {
				t.Errorf("%s as a report: %v", name, err)
				continue
			}
			var back map[string]string
			rows, err := models.WorkshopItems(ctx, db, []string{"1"})
			if err == nil {
				err = json.Unmarshal(rows["1"].Report, &back)
			}
			if err != nil || back["title"] != want {
				t.Errorf("%s as a report: stored %q, %v; want %q", name, back["title"], err, want)
			}
		}
	})
}
