// Command l4d2ctl runs Left 4 Dead 2 servers on this host: it installs the game,
// initialises, starts, stops and deletes instances, and reports on them. It needs
// no database, no Redis and no web server.
//
// This package only reads the command line and prints: one file per command, what
// a command does is in hostops. Start at run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"left4me/hostops"
	"left4me/hostops/ctl"
	"left4me/hostops/sandbox"
	"left4me/hostops/supervisor"
)

func main() {
	// A keeper is started for every server and must not pay for reading flags.
	if len(os.Args) > 1 && os.Args[1] == "keeper" {
		os.Exit(supervisor.RunKeeper(os.Args[2:]))
	}
	// The first process of a server's unit; its root is the one the units know.
	if len(os.Args) > 1 && os.Args[1] == "exec" {
		os.Exit(supervisor.RunGame(unitRoot, os.Args[2:]))
	}
	// The first process of a script's sandbox.
	if len(os.Args) > 1 && os.Args[1] == "build-exec" {
		os.Exit(sandbox.RunInside(os.Args[2:]))
	}
	// A reader that went away must not end an operation half way.
	signal.Ignore(syscall.SIGPIPE)
	// Under nohup our children would inherit a deaf ear, and a steamcmd would go on
	// when we are killed. A signal that is caught is not inherited.
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// cli is the grammar. The seven commands that scripts rely on keep exactly it.
type cli struct {
	Root          string        `default:"/var/lib/left4me" env:"LEFT4ME_ROOT" placeholder:"DIR" help:"State root (${default}, env ${env})."`
	Supervisor    string        `default:"auto" enum:"systemd,rootless,auto" env:"LEFT4ME_SUPERVISOR" help:"Who keeps the games running: systemd, rootless or auto (env ${env})."`
	Events        string        `default:"text" enum:"json,text" help:"How to print: text for people, json for programs, one object a line."`
	Steamcmd      string        `env:"LEFT4ME_STEAMCMD" placeholder:"PATH" help:"Where steamcmd.sh is (ROOT/steam/steamcmd.sh, env ${env})."`
	User          string        `env:"LEFT4ME_USER" placeholder:"NAME" help:"User to become when started as root without systemd (env ${env})."`
	SteamAPI      string        `name:"steam-api" default:"https://api.steampowered.com" env:"LEFT4ME_STEAM_API" placeholder:"URL" help:"Where Steam's Web API is (env ${env})."`
	WorkshopHosts []string      `env:"LEFT4ME_WORKSHOP_HOSTS" placeholder:"HOST:PORT" help:"Where workshop files may come from beside Steam's own hosts (env ${env})."`
	Mirror        string        `env:"LEFT4ME_MIRROR" placeholder:"URL" help:"A mirror that recipes fetch from instead of the original sites (env ${env})."`
	Wait          time.Duration `default:"0s" placeholder:"TIME" help:"How long to wait when another operation is under way on the same thing, such as 30s."`

	Install    installCmd    `cmd:"" help:"Install the game, or bring it up to date."`
	Initialize initializeCmd `cmd:"" help:"Check a spec and make it a server's; the next start uses it."`
	Start      startCmd      `cmd:"" help:"Start a server and wait until the game answers."`
	Stop       stopCmd       `cmd:"" help:"Stop a server."`
	Delete     deleteCmd     `cmd:"" help:"Stop a server and remove everything of it."`
	Reset      resetCmd      `cmd:"" help:"Stop a server and remove what its game wrote; its definition stays."`
	Status     statusCmd     `cmd:"" help:"Show one server, or all."`
	Logs       logsCmd       `cmd:"" help:"Show a server's console."`
	Rcon       rconCmd       `cmd:"" help:"Send a command to a running game and print its answer."`
	Say        sayCmd        `cmd:"" help:"Write into the chat of a running game."`
	Kick       kickCmd       `cmd:"" help:"Send a player away."`
	Ban        banCmd        `cmd:"" help:"Keep a player away, and send them away."`
	Unban      unbanCmd      `cmd:"" help:"Let a player come back."`
	Bans       bansCmd       `cmd:"" help:"Show who is banned from a running game."`
	Map        mapCmd        `cmd:"" help:"Make a running game play another map."`
	Game       gameCmd       `cmd:"" help:"Show what is installed, and whether Steam has something newer."`
	Steam      steamCmd      `cmd:"" help:"The Steam account that installs may use."`
	Overlay    overlayCmd    `cmd:"" help:"Content of servers: make, look at and remove versions of overlays."`
	Workshop   workshopCmd   `cmd:"" help:"Items of the Steam workshop, kept in a store."`
	VPK        vpkCmd        `cmd:"" name:"vpk" help:"Add-ons, before a server gets them."`
	Watch      watchCmd      `cmd:"" help:"Print every server's state now and whenever it changes, until stopped."`
	Doctor     doctorCmd     `cmd:"" help:"Look at everything that servers need of this host, and say what to mend."`
	Completion completionCmd `cmd:"" help:"Print a script that completes l4d2ctl's command line in a shell."`
	Man        manCmd        `cmd:"" help:"Print the manual page."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// environment is what a command's Run receives. It lives for one run, which is why
// it may hold the context.
type environment struct {
	ctx    context.Context
	host   *hostops.Host
	out    *printer
	stdin  io.Reader
	stderr io.Writer
	// notices are what the user should know beside the outcome.
	notices []string
}

const description = `Runs Left 4 Dead 2 servers on this host.

Exit codes:
`

// run is main without the process. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exited, code := false, 0
	parser, err := kong.New(&c,
		kong.Name("l4d2ctl"),
		kong.Description(description+"  "+strings.Join(ctl.ExitTable(), "\n  ")),
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) { exited, code = true, n }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
	)
	if err != nil {
		fmt.Fprintf(stderr, "l4d2ctl: %v\n", err)
		return ctl.ExitCode(ctl.ErrInternal)
	}
	parsed, err := parser.Parse(args)
	if exited { // --help
		return code
	}
	out := newPrinter(stdout, stderr, c.Events == "json" || err != nil && slices.Contains(args, "--events=json"))
	if err != nil {
		return out.finish(usageError(err), nil)
	}
	env := &environment{ctx: ctx, out: out, stdin: stdin, stderr: stderr}
	err = prepare(&c, env, parsed)
	if err == nil {
		err = parsed.Run(env)
	}
	if ctx.Err() != nil && err != nil && !errors.Is(err, ctl.ErrCancelled) && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", ctl.ErrCancelled, err)
	}
	if env.quiet(parsed) && err == nil {
		return 0
	}
	return out.finish(err, env.notices)
}

// quiet reports whether the command's own output is all there may be.
func (e *environment) quiet(parsed *kong.Context) bool {
	return !e.out.json && parsed.Command() == "status"
}

func usageError(err error) error {
	return fmt.Errorf("%w (l4d2ctl --help shows how): %w", err, ctl.ErrUsage)
}
