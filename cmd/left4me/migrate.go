package main

import (
	"context"
	"errors"

	"left4me/models"
)

type migrateCommand struct {
	DatabaseURL string `env:"DATABASE_URL" placeholder:"URL" help:"PostgreSQL, as postgres://user:password@host/database."`
	logOptions
}

// Run brings the database up to date; one that is already is success.
func (m *migrateCommand) Run(ctx context.Context, c *console) error {
	if m.DatabaseURL == "" {
		return errors.New("set DATABASE_URL; `left4me up` brings its own database up to date by itself")
	}
	db, err := models.Open(ctx, m.DatabaseURL)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends
	if err := models.Migrate(ctx, db, m.logger(c)); err != nil {
		return err
	}
	c.say("The database is up to date.")
	return nil
}
