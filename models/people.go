package models

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// Person is a user as administrators see them: with what is theirs.
type Person struct {
	User       `bun:",extend"`
	Servers    int       `bun:"servers,scanonly"`
	Blueprints int       `bun:"blueprints,scanonly"`
	Overlays   int       `bun:"overlays,scanonly"`
	Browsers   int       `bun:"browsers,scanonly"`   // sessions that have not expired
	SeenAt     time.Time `bun:"seen_at,scanonly"`    // when one of them was last used, to the hour; zero for never
	Unfinished int       `bun:"unfinished,scanonly"` // jobs that they asked for
}

// Belongings says in words what is theirs and keeps them from being deleted, ""
// for nothing.
func (p Person) Belongings() string {
	var list []string
	for _, one := range []struct {
		n    int
		noun string
	}{{p.Servers, "server"}, {p.Blueprints, "blueprint"}, {p.Overlays, "overlay"}} {
		switch one.n {
		case 0:
		case 1:
			list = append(list, "1 "+one.noun)
		default:
			list = append(list, fmt.Sprintf("%d %ss", one.n, one.noun))
		}
	}
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
	return strings.Join(list, "")
}

func selectPeople(db bun.IDB, into any) *bun.SelectQuery {
	return db.NewSelect().Model(into).ModelTableExpr("users AS person").ColumnExpr("person.*").
		ColumnExpr("(SELECT count(*) FROM servers WHERE servers.user_id = person.id) AS servers").
		ColumnExpr("(SELECT count(*) FROM blueprints WHERE blueprints.user_id = person.id) AS blueprints").
		ColumnExpr("(SELECT count(*) FROM overlays WHERE overlays.user_id = person.id) AS overlays").
		ColumnExpr("(SELECT count(*) FROM sessions WHERE sessions.user_id = person.id AND sessions.expires_at > ?) AS browsers", Now()).
		ColumnExpr("(SELECT max(sessions.seen_at) FROM sessions WHERE sessions.user_id = person.id) AS seen_at").
		ColumnExpr("(SELECT count(*) FROM jobs WHERE jobs.user_id = person.id AND jobs.finished_at IS NULL) AS unfinished")
}

// People lists users by name, at most limit, beginning behind the name after (""
// for the first).
func People(ctx context.Context, db bun.IDB, after string, limit int) ([]Person, error) {
	var list []Person
	q := selectPeople(db, &list).OrderExpr("lower(person.name)").Limit(int64(limit))
	if after != "" {
		q = q.Where("lower(person.name) > ?", strings.ToLower(after))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return list, nil
}

// PersonByID returns one user, active or not.
func PersonByID(ctx context.Context, db bun.IDB, id string) (*Person, error) {
	p := new(Person)
	if err := selectPeople(db, p).Where("person.id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("user %s: %w", clip(id, 64), found(err))
	}
	return p, nil
}

// lockPeople makes everybody wait who changes who is an administrator, and
// everybody who asks for a job, until the transaction ends. Without it two
// administrators could demote each other at the same moment, and a job could be
// asked for between the look at a user's jobs and their end.
func lockPeople(ctx context.Context, tx bun.IDB) error {
	_, err := tx.NewRaw("UPDATE counters SET value = value WHERE name = 'job'").Exec(ctx)
	if err != nil {
		return fmt.Errorf("lock the users: %w", err)
	}
	return nil
}

// changePerson is what the changes below have in common: it waits for other ones,
// finds the user, and refuses what a person may not do to themselves.
func changePerson(ctx context.Context, tx bun.IDB, by Actor, id, toOneself string) (*Person, error) {
	if err := lockPeople(ctx, tx); err != nil {
		return nil, err
	}
	p, err := PersonByID(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	if by.ID == p.ID && toOneself != "" {
		return nil, Invalid("", toOneself)
	}
	return p, nil
}

// refuseLastAdmin refuses with what cannot be done to the only active administrator.
func refuseLastAdmin(ctx context.Context, tx bun.IDB, p *Person, what string) error {
	if !p.Admin || !p.Active {
		return nil
	}
	others, err := tx.NewSelect().Model((*User)(nil)).Where("admin AND active AND id <> ?", p.ID).Count(ctx)
	if err != nil {
		return fmt.Errorf("count administrators: %w", err)
	}
	if others == 0 {
		return Invalid("", fmt.Sprintf("%s is the only administrator who can sign in and cannot be %s. Make somebody else an administrator first.", p.Name, what))
	}
	return nil
}

func setUser(ctx context.Context, tx bun.IDB, id, column string, to bool) error {
	res, err := tx.NewUpdate().Model((*User)(nil)).Set("? = ?", bun.Ident(column), to).Where("id = ?", id).Exec(ctx)
	if err := oneRow(res, err); err != nil {
		return fmt.Errorf("change a user: %w", err)
	}
	return nil
}

// DeactivateUser keeps a user out: their sessions end, and the jobs of theirs that
// wait are cancelled (returned). What runs goes on: a job that stops halfway harms
// its server, and servers are stopped by asking for it. Refused with an
// InvalidError for oneself and for the last active administrator.
func DeactivateUser(ctx context.Context, tx bun.IDB, by Actor, id string) ([]Job, error) {
	p, err := changePerson(ctx, tx, by, id, "You cannot deactivate yourself. Another administrator can.")
	if err != nil {
		return nil, err
	}
	if err := refuseLastAdmin(ctx, tx, p, "deactivated"); err != nil {
		return nil, err
	}
	if err := setUser(ctx, tx, id, "active", false); err != nil {
		return nil, err
	}
	ended, err := p.leave(ctx, tx)
	if err != nil {
		return nil, err
	}
	return ended, Audit(ctx, tx, by, "user.deactivate", "user:"+p.Name, "")
}

// leave ends the user's sessions and the jobs of theirs that wait. The steps of an
// update of the game go on: without them servers that it stopped would stay so.
func (p *Person) leave(ctx context.Context, tx bun.IDB) ([]Job, error) {
	if err := EndSessions(ctx, tx, p.ID, ""); err != nil {
		return nil, err
	}
	var waiting []Job
	err := tx.NewSelect().Model(&waiting).Where("user_id = ? AND finished_at IS NULL AND state = ?", p.ID, JobQueued).
		Where("args ->> 'update' IS NULL").OrderExpr("id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the jobs of %s: %w", p.Name, err)
	}
	ended := waiting[:0]
	for _, j := range waiting {
		done, err := CancelJob(ctx, tx, j.ID, "Cancelled because "+p.Name+" may not sign in any more.")
		switch {
		case errors.Is(err, ErrConflict): // it has ended by itself
		case err != nil:
			return nil, err
		case done:
			j.State, j.FinishedAt = JobCancelled, Now()
			ended = append(ended, j)
		}
	}
	return ended, nil
}

// ActivateUser lets a user in again, with the password they had.
func ActivateUser(ctx context.Context, tx bun.IDB, by Actor, id string) error {
	p, err := changePerson(ctx, tx, by, id, "")
	if err != nil {
		return err
	}
	if err := setUser(ctx, tx, id, "active", true); err != nil {
		return err
	}
	return Audit(ctx, tx, by, "user.activate", "user:"+p.Name, "")
}

// MakeAdmin gives a user an administrator's rights.
func MakeAdmin(ctx context.Context, tx bun.IDB, by Actor, id string) error {
	p, err := changePerson(ctx, tx, by, id, "")
	if err != nil {
		return err
	}
	if err := setUser(ctx, tx, id, "admin", true); err != nil {
		return err
	}
	return Audit(ctx, tx, by, "user.admin", "user:"+p.Name, "on")
}

// UnmakeAdmin takes an administrator's rights away and ends their sessions. Refused
// with an InvalidError for oneself and for the last active administrator.
func UnmakeAdmin(ctx context.Context, tx bun.IDB, by Actor, id string) error {
	p, err := changePerson(ctx, tx, by, id, "You cannot take an administrator's rights from yourself. Another administrator can.")
	if err != nil {
		return err
	}
	if err := refuseLastAdmin(ctx, tx, p, "made an ordinary user"); err != nil {
		return err
	}
	if err := setUser(ctx, tx, id, "admin", false); err != nil {
		return err
	}
	if err := EndSessions(ctx, tx, id, ""); err != nil {
		return err
	}
	return Audit(ctx, tx, by, "user.admin", "user:"+p.Name, "off")
}

// ResetPassword gives a user another password and ends all their sessions.
func ResetPassword(ctx context.Context, tx bun.IDB, by Actor, id, passwordHash string) error {
	p, err := PersonByID(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := SetPassword(ctx, tx, id, passwordHash, ""); err != nil {
		return err
	}
	return Audit(ctx, tx, by, "user.reset_password", "user:"+p.Name, "")
}

// DeleteUser removes a user. Their jobs and what the audit log says of them stay;
// the jobs of theirs that wait are cancelled (returned). Refused with an
// InvalidError for oneself, for the last active administrator, and for who owns
// anything.
func DeleteUser(ctx context.Context, tx bun.IDB, by Actor, id string) ([]Job, error) {
	p, err := changePerson(ctx, tx, by, id, "You cannot delete yourself. Another administrator can.")
	if err != nil {
		return nil, err
	}
	if err := refuseLastAdmin(ctx, tx, p, "deleted"); err != nil {
		return nil, err
	}
	if owned := p.Belongings(); owned != "" {
		return nil, Invalid("", fmt.Sprintf("%s owns %s, which would be lost. They delete these first; to keep them out meanwhile, deactivate them.", p.Name, owned))
	}
	ended, err := p.leave(ctx, tx)
	if err != nil {
		return nil, err
	}
	if err := Audit(ctx, tx, by, "user.delete", "user:"+p.Name, ""); err != nil {
		return nil, err
	}
	res, err := tx.NewDelete().Model((*User)(nil)).Where("id = ?", id).Exec(ctx)
	if err := oneRow(res, err); err != nil {
		return nil, fmt.Errorf("delete user %s: %w", p.Name, err)
	}
	return ended, nil
}
