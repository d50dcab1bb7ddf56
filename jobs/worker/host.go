package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/models"
)

// checkHost keeps what the host's doctor finds. Problems are what it looked for: the
// job succeeds with a notice that counts them.
func checkHost(ctx context.Context, a *attempt) error {
	var found models.Doctor
	a.hear = func(e ctl.Event) error {
		if c := e.Check; e.Type == ctl.EventCheck && c != nil && len(found.Checks) < 100 {
			found.Checks = append(found.Checks, models.HostCheck{Key: c.Key, Level: string(c.Level), Title: c.Title, Text: c.Text, Fix: c.Fix})
		}
		return nil
	}
	err := a.ctl(ctx, nil, "doctor")
	if f := (*failure)(nil); errors.As(err, &f) && errors.Is(ctl.FromExitCode(f.code), ctl.ErrUnfit) {
		a.addNotices([]string{f.message})
		err = nil
	}
	if err != nil {
		return err
	}
	if len(found.Checks) == 0 {
		return &failure{code: ctl.ExitCode(ctl.ErrInternal), message: "l4d2ctl did not say what it found. Is it older than the worker?"}
	}
	a.atEnd = func(ctx context.Context, tx bun.Tx) error {
		if err := models.SetDoctor(ctx, tx, a.w.Host, found); err != nil {
			return fmt.Errorf("store what was found: %w", err)
		}
		return nil
	}
	return nil
}
