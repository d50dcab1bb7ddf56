package steamsim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is one game server process.
type server struct {
	proc    Process
	control SrcdsControl
	speed   Speed
	opts    launch
	dir     string // working directory, the game's root
	game    string // left4dead2 below it
	user    string // home directory
	out     *console
	condeb  *os.File // console.log with -condebug
	done    chan int // exit status

	// mu is the engine's frame: who runs commands or moves the world holds it.
	mu        sync.Mutex
	capture   *strings.Builder // output of the RCON command that is running
	commands  map[string]func(*server, command)
	cvars     map[string]*cvar
	depth     int // of nested exec
	address   address
	udp       *net.UDPConn
	tcp       net.Listener
	mapName   string
	nextMap   string          // asked for, not loaded yet
	addonMaps map[string]bool // in the mounted VPKs
	loaded    bool            // a map was loaded: server.cfg was executed
	secure    bool
	online    bool // Steam told it its public address
	maxAsked  int  // from sv_setmax
	bans      bans
	log       gameLog
	world     world
}

// runSrcds plays the game server until it quits, crashes or gets a signal.
func runSrcds(p Process) int {
	dir, err := os.Getwd()
	if err != nil {
		_, _ = fmt.Fprintln(p.Stderr, "steamsim:", err)
		return 1
	}
	control, err := installedControl(dir, p.Getenv)
	if err != nil {
		_, _ = fmt.Fprintln(p.Stderr, "steamsim:", err)
		return exitControl
	}
	s := &server{
		proc: p, control: control.Srcds, speed: control.Speed, opts: parseLaunch(p.Args[1:]),
		dir: dir, out: newConsole(p.Stdout), done: make(chan int, 1), cvars: newCvars(),
		commands: consoleCommands(), secure: true,
	}
	s.out.lines = s.out.lines || s.control.LineBuffered
	if s.user, err = p.home(); err != nil {
		_, _ = fmt.Fprintln(p.Stderr, "steamsim:", err)
		return 1
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go s.start()
	for {
		select {
		case status := <-s.done:
			s.out.flush()
			return status
		case sig := <-signals:
			if !s.control.IgnoreTerm {
				s.out.flush()
				return dieBy(sig.(syscall.Signal))
			}
		}
	}
}

// dieBy ends the process by the default action of sig, so that whoever waits
// sees the signal. Process 1 of a namespace is spared by it; the status a shell
// would show has to do then.
func dieBy(sig syscall.Signal) int {
	if os.Getpid() == 1 {
		return 128 + int(sig)
	}
	signal.Reset(sig)
	if err := syscall.Kill(os.Getpid(), sig); err == nil {
		time.Sleep(100 * time.Millisecond) // the signal is on its way
	}
	return 128 + int(sig)
}

// exit ends the process; the first status counts.
func (s *server) exit(status int) {
	select {
	case s.done <- status:
	default:
	}
}

// print writes to the console, to console.log and into the reply of the RCON
// command that is running.
func (s *server) print(text string) {
	if s.capture != nil {
		s.capture.WriteString(text)
	}
	if s.condeb != nil {
		_, _ = s.condeb.WriteString(text) // a full disk stops no game
	}
	if !s.control.Quiet {
		s.out.print(text)
	}
}

func (s *server) printf(format string, args ...any) { s.print(fmt.Sprintf(format, args...)) }

// pause waits ms milliseconds at demo speed.
func (s *server) pause(ms int) { s.speed.wait(time.Duration(ms) * time.Millisecond) }

// start is the way from exec to a running map. The markers and their order are
// those of the real one's console.
func (s *server) start() {
	if !s.findGame() {
		s.exit(1)
		return
	}
	if s.control.ForkChild {
		s.leaveOrphan()
	}
	s.print("#Using breakpad minidump system\n")
	s.pause(150)
	s.print("#Console initialized.\n")
	s.pause(250)
	s.print("#Game_srv.so loaded for \"Left 4 Dead 2\"\n")
	s.pause(400)
	s.print("Server is hibernating\n")
	s.pause(200)
	s.mu.Lock()
	addons := s.mountAddons()
	s.mu.Unlock()
	if s.control.CrashAtStart || addons == addonsCrash {
		s.crash()
	}
	if _, err := os.Stat(filepath.Join(s.game, "cfg", "valve.rc")); err != nil || addons == addonsHang || s.control.Hang {
		return // the map never loads; only a signal ends this
	}
	s.print("ConVarRef test_progression_loop doesn't point to an existing ConVar\n")
	s.loadSteamclient()
	s.print("Game supporting (2) split screen players\nmaxplayers set to 18\n")
	s.print("Unknown command \"sn_display_mode_info\"\n")

	s.mu.Lock()
	s.run(s.opts.commands(), fromCommandLine)
	bound := s.bind()
	s.mu.Unlock()
	if !bound {
		s.exit(1)
		return
	}
	go s.readConsole()
	s.mu.Lock()
	defer s.mu.Unlock()
	// Without a map it stays as it is: srcds_run knows a default map,
	// srcds_linux does not.
	if s.nextMap != "" {
		s.loadMap(s.nextMap)
	}
}

// findGame checks what the real binary cannot start without: its libraries on
// the library path, and a game directory.
func (s *server) findGame() bool {
	found := false
	for _, d := range filepath.SplitList(s.proc.Getenv("LD_LIBRARY_PATH")) {
		_, err := os.Stat(filepath.Join(s.abs(d), "libtier0_srv.so"))
		found = found || err == nil
	}
	if !found {
		_, _ = fmt.Fprintln(s.proc.Stderr, "Failed to open dedicated_srv.so (libtier0_srv.so: cannot open shared object file: No such file or directory)")
		return false
	}
	if s.control.ExecStack {
		_, _ = fmt.Fprintln(s.proc.Stderr, "Failed to open dedicated_srv.so (bin/engine_srv.so: cannot enable executable stack as shared object requires: Invalid argument)")
		return false
	}
	mod := s.opts.value("-game")
	if mod == "" {
		mod = "hl2"
	}
	s.game = s.abs(mod)
	if _, err := os.Stat(filepath.Join(s.game, "gameinfo.txt")); err != nil {
		_, _ = fmt.Fprintf(s.proc.Stderr, "Setup file 'gameinfo.txt' doesn't exist in subdirectory '%s'.\nCheck your -game parameter or VCONFIG setting.\n", mod)
		return false
	}
	if path := s.opts.value("-pidfile"); path != "" {
		if err := writeFile(s.abs(path), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
			s.printf("Warning: unable to open pidfile (%s)\n", path)
		}
	}
	if s.opts.has("-condebug") {
		f, err := os.OpenFile(filepath.Join(s.game, "console.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err == nil {
			s.condeb = f
		}
	}
	return true
}

// abs returns path as seen from the game's root.
func (s *server) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.dir, path)
}

// loadSteamclient looks for the library where the real server does. Without it
// Left 4 Dead 2 crashes at every start.
func (s *server) loadSteamclient() {
	lib := filepath.Join(s.user, ".steam", "sdk32", "steamclient.so")
	f, err := os.Open(lib)
	if err != nil {
		reason := "No such file or directory"
		if errors.Is(err, os.ErrPermission) {
			reason = "Permission denied"
		}
		s.printf("[S_API FAIL] SteamAPI_Init() failed; SteamAPI_IsSteamRunning() failed.\n"+
			"dlopen failed trying to load:\n%s\nwith error:\n%s: cannot open shared object file: %s\n", lib, lib, reason)
		s.crash()
	}
	_ = f.Close() // opened to see whether it can be
	if s.control.LAN {
		s.print("[S_API FAIL] SteamAPI_Init() failed; unable to update local steamclient. Continuing with current version anyway.\n" +
			"Unable to load Steam support library.\nThis server will operate in LAN mode only.\n")
		return
	}
	s.printf("[S_API] SteamAPI_Init(): Loaded '%s' OK.\n", lib)
	s.pause(300)
	s.print("[S_API FAIL] SteamAPI_Init() failed; create pipe failed.\n")
}

// crash ends the process as a fault in the engine does.
func (s *server) crash() {
	s.print("PreMinidumpCallback: updating dump comment\nUploading dump (in-process) [proxy '']\n")
	segfault()
}

// opened is what follows the first map: the server talks to the world.
func (s *server) opened() {
	go s.serveRcon()
	go s.serveQueries()
	s.pause(800)
	s.mu.Lock()
	s.connectSteam()
	s.hibernate()
	s.mu.Unlock()
	if after := s.control.CrashAfter; after > 0 {
		time.AfterFunc(time.Duration(after*float64(time.Second)), func() {
			s.mu.Lock()
			s.crash()
		})
	}
	s.runWorld()
}

func (s *server) connectSteam() {
	if s.number("sv_lan") != 0 || s.control.LAN {
		s.secure = false
		return
	}
	s.secure = !s.opts.has("-insecure")
	if s.secure {
		s.print("Initializing Steam libraries for secure Internet server\n")
	} else {
		s.print("Initializing Steam libraries for INSECURE Internet server.  Authentication and VAC not requested.\n")
	}
	s.pause(700)
	if s.control.NoSteam {
		return
	}
	s.online = true
	s.printf("Connection to Steam servers successful.\n   Public IP is %s.\n", publicIP)
	if s.secure {
		s.print("   VAC secure mode is activated.\n")
	} else {
		s.print("   VAC secure mode is disabled.\n")
	}
}

// publicIP is what Steam says our address is (a documentation address).
const publicIP = "203.0.113.5"
