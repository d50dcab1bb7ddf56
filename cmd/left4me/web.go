package main

import "context"

type webCommand struct {
	storeOptions
	siteOptions
	logOptions
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
	return w.serve(ctx, l, s, w.logger(c))
}
