package steamsim

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const clientVersion = "1785799152"

// exitRestart is the status that makes steamcmd.sh start the client again.
const exitRestart = 42

// session is one run of steamcmd.
type session struct {
	proc    Process
	control Control
	path    string // of the control file, for the game's settings
	home    *steamHome
	out     *console

	install   string // from force_install_dir
	platform  string
	account   string // empty: not logged in
	named     bool   // the login was, or is, with a name
	shutdown  bool   // @ShutdownOnFailedCommand
	status    int
	over      bool
	installed bool // a Success line was printed

	decided, faulty bool // see fault
}

// runSteamcmd plays one run of the client and returns its exit status.
func runSteamcmd(p Process) int {
	path := p.Getenv(ControlEnv)
	if path == "" {
		path = filepath.Join(filepath.Dir(filepath.Dir(p.Exe)), ControlName)
	}
	control, err := readControl(path)
	if err != nil {
		_, _ = fmt.Fprintln(p.Stderr, "steamsim:", err)
		return exitControl
	}
	userHome, err := p.home()
	if err != nil {
		_, _ = fmt.Fprintln(p.Stderr, "steamsim:", err)
		return 1
	}
	s := &session{proc: p, control: control, path: path, out: newConsole(p.Stdout), platform: "linux"}
	defer s.out.flush()
	if s.home, err = openSteamHome(userHome); err != nil {
		s.out.printf("steamcmd: %v: %s\n", err, filepath.Join(userHome, "Steam"))
		return 1
	}
	defer s.home.close()
	return s.run()
}

func (s *session) run() int {
	if f, met := s.fault(atBoot); met && f.line != "" {
		s.out.print(f.line + "\n")
		return f.status
	} else if met {
		s.home.log("bootstrap_log.txt", "Download failed: http error 0 (client-download.steampowered.com/client/steam_cmd_linux)")
		s.home.log("bootstrap_log.txt", "Error: Steam needs to be online to update. Please confirm your network connection and try again.")
		return f.status
	}
	s.out.printf("Redirecting stderr to '%s'\n", s.home.path("logs", "stderr.txt"))
	s.out.printf("Logging directory: '%s'\n", s.home.path("logs"))
	s.home.log("stderr.txt", "steamcmd started")
	s.out.print("[  0%] Checking for available updates...\n")
	s.pause(400)
	if !s.home.updated() {
		return s.updateClient()
	}
	s.out.print("[----] Verifying installation...\n")
	s.pause(300)
	// The newline is missing in the real output too.
	s.out.print("UpdateUI: skip show logo")
	s.out.printf("Steam Console Client (c) Valve Corporation - version %s\n-- type 'quit' to exit --\n", clientVersion)
	s.out.print("Loading Steam API...")
	s.pause(600)
	s.out.print("OK\n\n")
	s.home.log("bootstrap_log.txt", "Startup - client version "+clientVersion)
	for _, cmd := range commandLine(s.proc.Args[1:]) {
		if s.over {
			break
		}
		s.command(cmd)
	}
	s.interactive()
	return s.status
}

// updateClient plays the self-update of a fresh Steam home.
func (s *session) updateClient() int {
	const total = 57477
	s.out.printf("[----] Downloading update (0 of %d KB)...\n", total)
	for _, kb := range []int{6958, 17243, 28739, 40234, 51730, total} {
		s.pause(250)
		s.out.printf("[%3d%%] Downloading update (%d of %d KB)...\n", kb*45/total, kb, total)
	}
	s.out.print("[----] Download complete.\n")
	for range 3 {
		s.pause(200)
		s.out.print("[----] Extracting package...\n")
	}
	for range 3 {
		s.pause(200)
		s.out.print("[----] Installing update...\n")
	}
	s.out.print("[----] Cleaning up...\n[----] Update complete, launching Steamcmd...\nUpdateUI: skip show logo\n")
	s.home.log("bootstrap_log.txt", "Update complete, launching")
	if err := s.home.setUpdated(); err != nil {
		s.out.printf("[----] !!! Fatal Error: %v\n", err)
		return 1
	}
	return exitRestart
}

// interactive reads commands from standard input when the command line did not
// end the session.
func (s *session) interactive() {
	in := bufio.NewScanner(s.proc.Stdin)
	for !s.over {
		s.out.print("\nSteam>")
		if !in.Scan() {
			s.quit()
			return
		}
		if words := scriptLine(in.Text()); len(words) > 0 {
			s.dispatch(words)
		}
	}
}

// command echoes a scripted command and runs it.
func (s *session) command(cmd []string) {
	s.out.print(echoed(cmd) + "\n")
	s.dispatch(cmd)
}

func (s *session) dispatch(cmd []string) {
	name, args := strings.ToLower(cmd[0]), cmd[1:]
	if strings.HasPrefix(name, "@") {
		s.set(cmd[0], args)
		return
	}
	switch name {
	case "force_install_dir":
		s.forceInstallDir(args)
	case "login":
		s.login(args)
	case "app_update":
		s.appUpdate(args)
	case "app_info_update", "app_info_request":
		s.pause(200) // the reply comes later; see appInfoPrint
	case "app_info_print":
		s.appInfoPrint(args)
	case "workshop_download_item":
		s.workshopDownloadItem(args)
	case "runscript":
		s.runScript(args)
	case "quit", "exit", "logout":
		s.quit()
	default:
		s.out.printf("Command not found: %s\n", cmd[0])
	}
}

func (s *session) set(name string, args []string) {
	value := strings.Join(args, " ")
	s.out.printf("%q = %q\n", name, value)
	switch strings.ToLower(name) {
	case "@ssteamcmdforceplatformtype":
		s.platform = strings.ToLower(value)
	case "@shutdownonfailedcommand":
		s.shutdown = value != "0"
	}
}

func (s *session) forceInstallDir(args []string) {
	if s.account != "" {
		s.out.print("Please use force_install_dir before logon!\n")
		return
	}
	if len(args) == 0 {
		s.out.print("Usage: force_install_dir <dir>\n")
		return
	}
	s.install = args[0]
}

func (s *session) login(args []string) {
	who := "anonymous"
	if len(args) > 0 {
		who = args[0]
	}
	if who == "anonymous" {
		s.out.print("\nConnecting anonymously to Steam Public...")
	} else {
		s.out.printf("Logging in user '%s' to Steam Public...", who)
	}
	s.pause(700)
	s.named = who != "anonymous"
	if f, met := s.fault(atLogin); met {
		s.refuseLogin(f)
		return
	}
	if _, met := s.fault(atPhone); met {
		s.out.print(phoneQuestion)
		s.pause(3000)
	}
	s.out.print("OK\nWaiting for client config...")
	s.pause(300)
	s.out.print("OK\nWaiting for user info...")
	s.pause(200)
	if f, met := s.fault(atUserInfo); met {
		s.refuseLogin(f)
		return
	}
	s.account = who
	s.out.print("OK\n")
}

func (s *session) refuseLogin(f scenario) {
	if f.hang { // a question
		s.out.print(f.line)
		hang()
	}
	s.out.print(f.line + "\n")
	s.status, s.over = f.status, true
}

func (s *session) runScript(args []string) {
	if len(args) == 0 {
		s.out.print("Usage: runscript <file>\n")
		return
	}
	b, err := os.ReadFile(args[0])
	if err != nil {
		s.out.printf("Failed to load script file '%s'\n", args[0])
		s.failed(1)
		return
	}
	for line := range strings.Lines(string(b)) {
		if s.over {
			return
		}
		if words := scriptLine(line); len(words) > 0 {
			s.command(words)
		}
	}
}

func (s *session) quit() {
	if f, met := s.fault(atQuit); met && f.crash && s.installed {
		segfault()
	}
	s.out.print("Unloading Steam API...")
	s.pause(200)
	s.out.print("OK\n\n")
	s.over = true
}

// failed records a command that did not work. Without
// @ShutdownOnFailedCommand the session goes on.
func (s *session) failed(status int) {
	s.status = status
	if s.shutdown {
		s.quit()
	}
}

// fault says whether the chosen scenario happens now. Once per run it asks the
// Steam home whether this run is still among the first Count that meet it.
func (s *session) fault(now moment) (scenario, bool) {
	f := scenarios[s.control.Steamcmd.Scenario]
	if now == never || f.at != now || (f.platform != "" && f.platform != s.platform) || (f.account && !s.named) {
		return scenario{}, false
	}
	if !s.decided {
		s.decided, s.faulty = true, true
		if limit := s.control.Steamcmd.Count; limit > 0 {
			n, err := s.home.meet(s.control.Steamcmd.Scenario)
			if err != nil {
				s.home.log("stderr.txt", err.Error())
			}
			s.faulty = n <= limit
		}
	}
	return f, s.faulty
}

// pause waits for ms milliseconds at demo speed.
func (s *session) pause(ms int) { s.control.Speed.wait(time.Duration(ms) * time.Millisecond) }

// build is the public build that Steam has now.
func (s *session) build() string {
	if b := s.control.Steamcmd.Build; b != "" {
		return b
	}
	return appBuild
}

// library is the directory that holds steamapps, and where the files go.
func (s *session) library() (library, files string) {
	if s.install != "" {
		return s.install, s.install
	}
	lib := s.home.dir
	return lib, filepath.Join(lib, "steamapps", "common", appName)
}

var errStopped = errors.New("the update stopped")
