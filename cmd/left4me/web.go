package main

import (
	"context"

	"left4me/models"
)

type webCommand struct {
	Root string `env:"LEFT4ME_ROOT" default:"/var/lib/left4me" placeholder:"DIR" help:"The state root, of which pages show overlays and into which uploads go."`
	storeOptions
	siteOptions
	logOptions
	slowOptions
}

// Run serves the web app until it is told to stop.
func (w *webCommand) Run(ctx context.Context, c *console) error {
	l, err := w.listen(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // Serve has closed it, or nothing was served
	s, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	log := w.logger(c)
	s.db = models.WithSlowLog(s.db, log, w.SlowQuery)
	return w.serve(ctx, l, s, newContent(w.Root, log), log)
}
