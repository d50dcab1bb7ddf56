package jobs

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"left4me/models"
)

// What is done to users is done here, for the pages and for the command line: the
// change in one transaction, then a word to every web process, so that open pages
// of a user who lost a right end at once.

// TopicUser is who a user is: their rights, their password and their sessions.
// Every live stream of theirs listens to it.
func TopicUser(userID string) string { return "user:" + userID }

// changeUser carries change out, tells every web process to look again at the
// user's sessions, and tells pages of the jobs that ended with it.
func (c *Client) changeUser(ctx context.Context, userID string, change func(context.Context, bun.Tx) ([]models.Job, error)) error {
	var ended []models.Job
	err := c.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
		ended, err = change(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	if err := c.publish(after, Message{Topics: []string{TopicUser(userID)}, Change: true}); err != nil {
		c.log.WarnContext(ctx, "could not announce a changed user; open pages notice within ten seconds", "user", userID, "err", err)
	}
	hosts := map[string]bool{}
	for i := range ended {
		c.changed(after, &ended[i])
		hosts[ended[i].Host] = true
	}
	for host := range hosts {
		c.wakeUnblocked(after, host)
	}
	return nil
}

// DeactivateUser keeps a user out, as models.DeactivateUser says. Servers of theirs
// that run go on.
func (c *Client) DeactivateUser(ctx context.Context, by models.Actor, userID string) error {
	return c.changeUser(ctx, userID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		return models.DeactivateUser(ctx, tx, by, userID)
	})
}

// DeactivateUserAndStop does the same and asks for the end of every server of theirs
// that is to run.
func (c *Client) DeactivateUserAndStop(ctx context.Context, by models.Actor, userID string) error {
	var stops batch
	err := c.changeUser(ctx, userID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		ended, err := models.DeactivateUser(ctx, tx, by, userID)
		if err != nil {
			return nil, err
		}
		servers, err := models.Servers(ctx, tx, userID)
		if err != nil {
			return nil, err
		}
		stops = batch{}
		for _, s := range servers {
			if s.Desired != models.ServerRunning && s.Observed != models.ServerRunning {
				continue
			}
			if err := stops.add(ctx, tx, by, []Args{StopServer{ServerID: s.ID}}); err != nil {
				return nil, err
			}
		}
		return ended, nil
	})
	if err == nil {
		c.announce(ctx, stops)
	}
	return err
}

// ActivateUser lets a user in again.
func (c *Client) ActivateUser(ctx context.Context, by models.Actor, userID string) error {
	return c.changeUser(ctx, userID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		return nil, models.ActivateUser(ctx, tx, by, userID)
	})
}

// MakeAdmin gives a user an administrator's rights.
func (c *Client) MakeAdmin(ctx context.Context, by models.Actor, userID string) error {
	return c.changeUser(ctx, userID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		return nil, models.MakeAdmin(ctx, tx, by, userID)
	})
}

// UnmakeAdmin takes them away, as models.UnmakeAdmin says.
func (c *Client) UnmakeAdmin(ctx context.Context, by models.Actor, userID string) error {
	return c.changeUser(ctx, userID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		return nil, models.UnmakeAdmin(ctx, tx, by, userID)
	})
}

// ResetPassword gives a user another password and ends all their sessions.
func (c *Client) ResetPassword(ctx context.Context, by models.Actor, userID, passwordHash string) error {
	return c.changeUser(ctx, userID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		return nil, models.ResetPassword(ctx, tx, by, userID, passwordHash)
	})
}

// DeleteUser removes a user, as models.DeleteUser says.
func (c *Client) DeleteUser(ctx context.Context, by models.Actor, userID string) error {
	return c.changeUser(ctx, userID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		return models.DeleteUser(ctx, tx, by, userID)
	})
}

// CreateUser adds a user. models.ErrTaken when the name is used.
func (c *Client) CreateUser(ctx context.Context, by models.Actor, name, passwordHash string, admin bool) (*models.User, error) {
	var u *models.User
	err := c.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
		if u, err = models.CreateUser(ctx, tx, strings.TrimSpace(name), passwordHash, admin); err != nil {
			return err
		}
		detail := ""
		if admin {
			detail = "administrator"
		}
		return models.Audit(ctx, tx, by, "user.create", "user:"+u.Name, detail)
	})
	return u, err
}

// ChangePassword stores a user's own new password and ends every session of theirs
// but keep. u is who gave the present password; models.ErrConflict when that is not
// theirs any more.
func (c *Client) ChangePassword(ctx context.Context, by models.Actor, u *models.User, passwordHash, keep string) error {
	return c.changeUser(ctx, by.ID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		if err := u.Unchanged(ctx, tx); err != nil {
			return nil, err
		}
		if err := models.SetPassword(ctx, tx, by.ID, passwordHash, keep); err != nil {
			return nil, err
		}
		return nil, models.Audit(ctx, tx, by, "user.password", "user:"+by.Name, "")
	})
}

// EndSession signs one of the user's own browsers out. models.ErrNotFound when they
// have no such session.
func (c *Client) EndSession(ctx context.Context, by models.Actor, session string) error {
	return c.changeUser(ctx, by.ID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		if err := models.EndSession(ctx, tx, by.ID, session); err != nil {
			return nil, err
		}
		return nil, models.Audit(ctx, tx, by, "session.end", "user:"+by.Name, "")
	})
}

// EndOtherSessions signs all of the user's own browsers out but keep.
func (c *Client) EndOtherSessions(ctx context.Context, by models.Actor, keep string) error {
	return c.changeUser(ctx, by.ID, func(ctx context.Context, tx bun.Tx) ([]models.Job, error) {
		if err := models.EndSessions(ctx, tx, by.ID, keep); err != nil {
			return nil, err
		}
		return nil, models.Audit(ctx, tx, by, "session.end", "user:"+by.Name, "every other browser")
	})
}
