// Command left4me is the web app, the worker, and both in one process for a
// small host. This file wires and exits; each command has a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules have time zones, and the host may know none

	"github.com/alecthomas/kong"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "dev"

type cli struct {
	Up      upCommand      `cmd:"" help:"Run everything in one process: web app, worker and, unless told otherwise, the databases."`
	Web     webCommand     `cmd:"" help:"Run the web app. It needs PostgreSQL and Redis."`
	Worker  workerCommand  `cmd:"" help:"Run the worker of this host. It needs PostgreSQL and Redis."`
	Migrate migrateCommand `cmd:"" help:"Bring the database up to date."`
	User    userCommand    `cmd:"" help:"Add, list, deactivate and delete users, set passwords."`
	Overlay overlayCommand `cmd:"" help:"Make shared overlays."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program; tests call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("left4me"), kong.UsageOnError(), kong.Writers(stdout, stderr),
		kong.Description("Run Left 4 Dead 2 servers on your own host. Every option can be set by the environment variable named beside it."),
		kong.Exit(func(code int) { exited = code }), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(&console{out: stdout, err: stderr}))
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "left4me:", err) // nowhere left to report to
		return 70
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		parser.Errorf("%s", err)
		return 64
	}
	if err := parsed.Run(); err != nil && !errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(stderr, "left4me:", err)
		return 1
	}
	return 0
}

// console is where commands speak to the person who started them.
type console struct{ out, err io.Writer }

func (c *console) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, format+"\n", args...) // a closed terminal is no reason to stop
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(c *console) error {
	c.say("left4me %s", version)
	return nil
}
