package main

import (
	"context"
	"log/slog"

	"left4me/jobs/worker"
	"left4me/models"
)

type workerCommand struct {
	Root string `env:"LEFT4ME_ROOT" default:"/var/lib/left4me" placeholder:"DIR" help:"The state root of this host."`
	storeOptions
	hostOptions
	logOptions
	slowOptions
}

// Run carries out jobs until it is told to stop.
func (w *workerCommand) Run(ctx context.Context, c *console) error {
	s, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	log := w.logger(c)
	s.db = models.WithSlowLog(s.db, log, w.SlowQuery)
	return work(ctx, s, w.hostOptions, w.Root, log)
}

func work(ctx context.Context, s *stores, o hostOptions, root string, log *slog.Logger) error {
	argv, env, err := o.command(root)
	if err != nil {
		return err
	}
	return worker.New(worker.Config{
		DB: s.db, Redis: s.redis, Key: s.key, Log: log, Host: models.LocalHost, Ctl: argv, CtlEnv: env,
	}).Run(ctx)
}
