package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"left4me/models"
)

type userList struct {
	peopleOptions
}

// Run prints a line for each user.
func (u *userList) Run(ctx context.Context, c *console) error {
	p, err := u.openPeople(ctx, c)
	if err != nil {
		return err
	}
	defer p.close()
	out := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "NAME\tRIGHTS\tSTATE\tOWNS\tLAST SEEN") // a closed terminal is no reason to stop
	for after := ""; ; {
		list, err := models.People(ctx, p.db, after, 200)
		if err != nil {
			return err
		}
		for _, one := range list {
			after = one.Name
			_, _ = fmt.Fprintln(out, listLine(one))
		}
		if len(list) < 200 {
			return out.Flush()
		}
	}
}

func listLine(p models.Person) string {
	rights, state, owns, seen := "user", "active", "nothing", "never"
	if p.Admin {
		rights = "admin"
	}
	if !p.Active {
		state = "deactivated"
	}
	if all := p.Belongings(); all != "" {
		owns = all
	}
	if !p.SeenAt.IsZero() {
		seen = p.SeenAt.UTC().Format(time.DateOnly)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", p.Name, rights, state, owns, seen)
}

// change does one thing to the user of that name and says what it was.
func (o *peopleOptions) change(ctx context.Context, c *console, name, said string, do func(*people, string) error) error {
	p, err := o.openPeople(ctx, c)
	if err != nil {
		return err
	}
	defer p.close()
	row, err := p.find(ctx, name)
	if err != nil {
		return err
	}
	if err := do(p, row.ID); err != nil {
		return err
	}
	c.say(said, row.Name)
	return nil
}

type userAdmin struct {
	Name string `arg:"" help:"Whose rights."`
	To   string `arg:"" enum:"on,off" help:"on gives an administrator's rights, off takes them."`
	peopleOptions
}

// Run gives or takes the rights.
func (u *userAdmin) Run(ctx context.Context, c *console) error {
	if u.To == "on" {
		return u.change(ctx, c, u.Name, "%s is an administrator now.", func(p *people, id string) error { return p.jobs.MakeAdmin(ctx, operator, id) })
	}
	return u.change(ctx, c, u.Name, "%s is an ordinary user now and must sign in again.", func(p *people, id string) error { return p.jobs.UnmakeAdmin(ctx, operator, id) })
}

type userDeactivate struct {
	Name        string `arg:"" help:"Who is kept out."`
	StopServers bool   `help:"Stop their servers too."`
	peopleOptions
}

// Run keeps the user out.
func (u *userDeactivate) Run(ctx context.Context, c *console) error {
	return u.change(ctx, c, u.Name, "%s is signed out everywhere and cannot sign in.", func(p *people, id string) error {
		if u.StopServers {
			return p.jobs.DeactivateUserAndStop(ctx, operator, id)
		}
		return p.jobs.DeactivateUser(ctx, operator, id)
	})
}

type userActivate struct {
	Name string `arg:"" help:"Who is let in again."`
	peopleOptions
}

// Run lets the user in.
func (u *userActivate) Run(ctx context.Context, c *console) error {
	return u.change(ctx, c, u.Name, "%s can sign in again with the password they had.", func(p *people, id string) error { return p.jobs.ActivateUser(ctx, operator, id) })
}

type userDelete struct {
	Name string `arg:"" help:"Who is deleted."`
	peopleOptions
}

// Run deletes the user.
func (u *userDelete) Run(ctx context.Context, c *console) error {
	return u.change(ctx, c, u.Name, "Deleted %s.", func(p *people, id string) error { return p.jobs.DeleteUser(ctx, operator, id) })
}
