package webui

import (
	"context"
	"fmt"
	"testing"

	"left4me/hostops/ctl"
	"left4me/models"
	"left4me/models/modelstest"
)

// An operator collected a version with l4d2ctl. Its page went on offering it, it
// became the current one, and every start of a server was refused.
func TestVersionThatAnOperatorCollectedIsNotUsed(t *testing.T) {
	content := &versionContent{manifests: map[string]*ctl.Manifest{}}
	s := newSite(t, func(c *Config) { c.Content = content })
	ctx, me := context.Background(), modelstest.User(t, s.db, false)
	o := modelstest.Overlay(t, s.db, me, models.OverlayScript)
	for n := int64(1); n <= 3; n++ {
		modelstest.Publish(t, s.db, o, n)
		content.manifests[fmt.Sprintf("%d/v%d", o.ID, n)] = &ctl.Manifest{Version: ctl.Version{Overlay: o.ID, Number: n, Collected: n == 1}}
	}
	br := s.browser(me)
	br.post(overlayPath(o.ID)+"/versions/1/use", nil).want(t, 409, "Version 1 was removed")
	if v, err := models.OverlayVersionByNumber(ctx, s.db, o.ID, 1); err != nil || v.CollectedAt.IsZero() {
		t.Errorf("version 1: %+v, %v; want it known to be collected", v, err)
	}
	if now, err := models.OverlayByID(ctx, s.db, o.ID); err != nil || now.Version != 3 {
		t.Errorf("current: %+v, %v; want 3 still", now, err)
	}
	br.post(overlayPath(o.ID)+"/versions/2/use", nil).want(t, 303)
}
