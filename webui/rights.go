package webui

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"left4me/models"
)

// right is what somebody must have for a route or a live feed: who they must be
// and, where the address names a thing, whose that must be. routes names the right
// of every route, feedRights that of every feed, and decide is the only place that
// knows what a right asks for.
type right int

const (
	anyone right = iota
	signedIn
	adminOnly
	// metrics is for administrators and for whoever has the token of the metrics.
	// The page is not there for anybody else.
	metrics

	ownServer     // :instance is theirs
	ownBlueprint  // :id is theirs
	seeOverlay    // :overlay is theirs or shared
	changeOverlay // :overlay is theirs, or shared and they are an administrator
	judgeOverlay  // :overlay is theirs or shared; administrators judge the files of everybody's
	seeJob        // job :number was asked for by them, works on what is theirs, or they are an administrator
)

// parameter is the part of an address that a right looks at.
var parameter = map[right]string{
	ownServer: "instance", ownBlueprint: "id", seeOverlay: "overlay", changeOverlay: "overlay", judgeOverlay: "overlay", seeJob: "number",
}

// feedRights is the right to each live feed. Its key is the feed's name up to the
// first ':' or '-': all parts of a server's page are "server-…:INSTANCE". A family
// that is not here is not found.
var feedRights = map[string]right{
	"admin": adminOnly, "strip": signedIn, "servers": signedIn, "blueprints": signedIn, "overlays": signedIn, "jobs": signedIn, "game": signedIn,
	"server": ownServer, "console": ownServer, "blueprint": ownBlueprint, "overlay": seeOverlay, "job": seeJob,
}

var (
	// errStranger means that nobody is signed in.
	errStranger = &failure{status: http.StatusUnauthorized, title: "Signed out", text: "You are signed out. Sign in again."}
	errNotAdmin = &failure{status: http.StatusForbidden, title: "For administrators", text: "Only an administrator may do this. Ask whoever runs this host."}
	errShared   = &failure{status: http.StatusForbidden, title: "For administrators", text: "This overlay is shared with everybody; only an administrator may change it. You can stack it as it is."}
)

// decide says whether u (nil for a stranger) has the right to what param names:
// nil, or why not. What exists and is somebody else's is ErrNotFound, as is what
// does not exist.
func (s *Server) decide(ctx context.Context, u *models.User, need right, param func(string) string) error {
	switch need {
	case anyone:
		return nil
	case metrics:
		if visitOf(ctx).scraper || (u != nil && u.Admin) {
			return nil
		}
		return fmt.Errorf("metrics: %w", models.ErrNotFound)
	}
	if u == nil {
		return errStranger
	}
	switch need {
	case signedIn:
		return nil
	case adminOnly:
		return mayAdminister(u)
	case ownServer:
		return models.OwnsServer(ctx, s.DB, u.ID, param(parameter[need]))
	case ownBlueprint:
		return models.OwnsBlueprint(ctx, s.DB, u.ID, param(parameter[need]))
	case seeOverlay, changeOverlay, judgeOverlay:
		id, err := number(param(parameter[need]))
		if err != nil {
			return err
		}
		o, err := models.OverlayOwner(ctx, s.DB, id)
		if err != nil {
			return err
		}
		return mayUseOverlay(u, o, need)
	case seeJob:
		id, err := number(param(parameter[need]))
		if err != nil {
			return err
		}
		j, err := models.JobOwner(ctx, s.DB, id)
		if err == nil && !j.VisibleTo(u) {
			return fmt.Errorf("job %d of somebody else: %w", id, models.ErrNotFound)
		}
		return err
	}
	return fmt.Errorf("right %d is not known: %w", need, models.ErrNotFound)
}

// decideFeed is decide for a live feed, which names its thing behind the ':'.
func (s *Server) decideFeed(ctx context.Context, u *models.User, name string) error {
	kind, arg, _ := strings.Cut(name, ":")
	family, _, _ := strings.Cut(kind, "-")
	need, known := feedRights[family]
	if !known {
		return fmt.Errorf("feed %q: %w", clip(name, 60), models.ErrNotFound)
	}
	return s.decide(ctx, u, need, func(string) string { return arg })
}

func mayAdminister(u *models.User) error {
	if !u.Admin {
		return errNotAdmin
	}
	return nil
}

// mayUseOverlay is what decide says of an overlay that has been read.
func mayUseOverlay(u *models.User, o *models.Overlay, need right) error {
	switch {
	case need == judgeOverlay && u.Admin:
		return nil
	case o.UserID != "" && o.UserID != u.ID:
		return fmt.Errorf("overlay %d of somebody else: %w", o.ID, models.ErrNotFound)
	case need == changeOverlay && !o.ChangeableBy(u):
		return errShared
	}
	return nil
}

// number reads an id from an address. What is none does not exist.
func number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("number %q: %w", clip(text, 30), models.ErrNotFound)
	}
	return n, nil
}
