package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// serverArgs is what every kind that works on a server carries.
type serverArgs struct {
	ServerID string `json:"server_id"`
}

// server loads the row that the job works on.
func (a *attempt) server(ctx context.Context) (*models.Server, error) {
	var args serverArgs
	if err := json.Unmarshal(a.job.Args, &args); err != nil {
		return nil, fmt.Errorf("read the job's arguments: %w", err)
	}
	s, err := models.ServerByID(ctx, a.w.DB, args.ServerID)
	if errors.Is(err, models.ErrNotFound) {
		return nil, &failure{code: 66, message: "The server was deleted before this job began."}
	}
	return s, err
}

// applyBlueprint gives the host the server's spec as its blueprint says it now.
func applyBlueprint(ctx context.Context, a *attempt) error {
	s, err := a.server(ctx)
	if err != nil {
		return err
	}
	return a.initialize(ctx, s)
}

// specPlace is where l4d2ctl found a mistake in a spec, as in "spec:1: ". Ours was
// written by no person: the line says nothing to anybody.
var specPlace = regexp.MustCompile(`\Aspec:[0-9]+: `)

// initialize writes the spec through l4d2ctl's standard input: it holds the RCON
// password, which belongs in no argument list and no file of ours.
func (a *attempt) initialize(ctx context.Context, s *models.Server) error {
	plain, err := models.SpecOf(ctx, a.w.DB, s)
	if err != nil {
		return err
	}
	spec, err := a.spec(ctx, s, plain)
	if err != nil {
		return err
	}
	raw, err := spec.Encode()
	if err != nil {
		return fmt.Errorf("encode the spec: %w", err)
	}
	err = a.ctl(ctx, raw, "initialize", s.Instance, "-f", "-")
	if failed := (*failure)(nil); errors.As(err, &failed) {
		switch reason := ctl.FromExitCode(failed.code); {
		case errors.Is(reason, ctl.ErrNoOverlay):
			return a.collectedMeanwhile(ctx, s, failed)
		case errors.Is(reason, ctl.ErrBadSpec):
			failed.message = specPlace.ReplaceAllString(failed.message, "")
		}
	}
	if err != nil {
		return err
	}
	return a.w.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.RememberSpec(ctx, tx, s.ID, spec.Sum(), plain); err != nil {
			return err
		}
		return models.SetApplied(ctx, tx, s.ID, s.Blueprint.Revision)
	})
}

// collectedMeanwhile learns what an operator had the host collect, and says which
// version is current now: the host's own sentence, refused, knows none of that.
func (a *attempt) collectedMeanwhile(ctx context.Context, s *models.Server, refused *failure) error {
	before, err := models.BlueprintOverlays(ctx, a.w.DB, s.BlueprintID)
	if err != nil {
		return err
	}
	if err := a.learnCollected(ctx, before); err != nil {
		a.w.Log.WarnContext(ctx, "could not learn which versions were collected", "job", a.job.ID, "err", err)
		return refused
	}
	now, err := models.BlueprintOverlays(ctx, a.w.DB, s.BlueprintID)
	if err != nil {
		return err
	}
	for _, o := range now {
		i := slices.IndexFunc(before, func(b models.Overlay) bool { return b.ID == o.ID })
		if i < 0 || before[i].Version == o.Version {
			continue
		}
		refused.message = fmt.Sprintf("The files of version %d of the overlay “%s” were collected on the host. ", before[i].Version, o.Name)
		if o.Version == 0 {
			refused.message += "Build it again, or take it out of the blueprint."
		} else {
			refused.message += fmt.Sprintf("Version %d is the current one now: try again to use it, or choose another on the overlay's page.", o.Version)
		}
		return refused
	}
	return refused
}

// spec adds to plain what only the worker may know, and refuses what no host takes.
func (a *attempt) spec(ctx context.Context, s *models.Server, plain models.Spec) (ctl.Spec, error) {
	password, err := a.w.Key.Open(s.RCONOwner(), s.RCONPassword)
	if err != nil {
		return ctl.Spec{}, &failure{code: 70, message: "The RCON password cannot be read: " + err.Error() + "."}
	}
	a.mu.Lock()
	a.mask = password
	a.mu.Unlock()
	if err := a.refuseCollected(ctx, plain.Overlays); err != nil {
		return ctl.Spec{}, err
	}
	spec := ctl.Spec{
		Port: plain.Port, Arguments: plain.Arguments, Hostname: plain.Hostname,
		RCONPassword: password, Config: plain.Config,
	}
	for _, o := range plain.Overlays {
		if o.Version == 0 {
			return ctl.Spec{}, &failure{code: 65, message: fmt.Sprintf("The overlay %q has no content yet. Build it, or take it out of the blueprint.", o.Name)}
		}
		spec.Overlays = append(spec.Overlays, o.Ref())
		if o.Exec {
			spec.Exec = append(spec.Exec, o.Ref())
		}
	}
	return spec, nil
}

// refuseCollected says what to do when the files of a version that the server would
// get are gone.
func (a *attempt) refuseCollected(ctx context.Context, overlays []models.SpecOverlay) error {
	ids := make([]int64, len(overlays))
	for i, o := range overlays {
		ids[i] = o.ID
	}
	versions, err := models.CurrentVersions(ctx, a.w.DB, ids)
	if err != nil {
		return err
	}
	for _, o := range overlays {
		if v := versions[o.ID]; v != nil && !v.CollectedAt.IsZero() {
			return &failure{code: ctl.ExitCode(ctl.ErrNoOverlay), message: fmt.Sprintf(
				"The files of version %d of the overlay “%s” were collected. Use another version on the overlay's page, or build it again.", o.Version, o.Name)}
		}
	}
	return nil
}

func startServer(ctx context.Context, a *attempt) error {
	s, err := a.server(ctx)
	if err != nil {
		return err
	}
	if err := a.initialize(ctx, s); err != nil {
		return err
	}
	return a.ctl(ctx, nil, "start", s.Instance)
}

func stopServer(ctx context.Context, a *attempt) error {
	s, err := a.server(ctx)
	if err != nil {
		return err
	}
	return a.ctl(ctx, nil, "stop", s.Instance)
}

// restartServer initialises first: a blueprint that the host refuses leaves the
// running game alone.
func restartServer(ctx context.Context, a *attempt) error {
	s, err := a.server(ctx)
	if err != nil {
		return err
	}
	var args jobs.RestartServer
	if err := json.Unmarshal(a.job.Args, &args); err != nil {
		return fmt.Errorf("read the job's arguments: %w", err)
	}
	if args.IfEmpty {
		if why := notEmpty(s, a.w.now()); why != "" {
			a.addNotices([]string{why})
			if args.OrLater && s.Up() {
				return models.SetApplyWhenEmpty(ctx, a.w.DB, s.ID, true)
			}
			return nil
		}
	}
	if err := a.initialize(ctx, s); err != nil {
		return err
	}
	if err := a.ctl(ctx, nil, "stop", s.Instance); err != nil {
		return err
	}
	return a.ctl(ctx, nil, "start", s.Instance)
}

// notEmpty says why a server that may only be restarted while it is empty is not
// restarted, "" when it is running and nobody is on it. What the observer last stored
// is a few seconds old at most, or says so.
func notEmpty(s *models.Server, now time.Time) string {
	live := s.Status.Live
	switch {
	case s.Desired != models.ServerRunning || s.Observed != models.ServerRunning:
		return "It is not running, so there was nothing to restart."
	case live == nil || now.Sub(s.ObservedAt) > time.Minute:
		return "It is not known whether somebody plays, so it was not restarted."
	case live.Players > 0:
		return fmt.Sprintf("It was not restarted: %d on it.", live.Players)
	}
	return ""
}

// resetServer removes what the game wrote.
func resetServer(ctx context.Context, a *attempt) error {
	s, err := a.server(ctx)
	if err != nil {
		return err
	}
	err = a.ctl(ctx, nil, "reset", s.Instance)
	if gone := (*failure)(nil); errors.As(err, &gone) && errors.Is(ctl.FromExitCode(gone.code), ctl.ErrNotFound) {
		return nil // never set up: it is as if it had been reset
	}
	return err
}

// deleteServer removes the instance from the host and then, together with the
// job's success, the row.
func deleteServer(ctx context.Context, a *attempt) error {
	s, err := a.server(ctx)
	if err != nil {
		return err
	}
	if err := a.ctl(ctx, nil, "delete", s.Instance); err != nil {
		return err
	}
	a.atEnd = func(ctx context.Context, tx bun.Tx) error { return models.DeleteServer(ctx, tx, s.ID) }
	return nil
}
