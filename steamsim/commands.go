package steamsim

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	maxExecDepth  = 16
	maxConfigSize = 1 << 20
)

// run executes command text. The caller holds s.mu.
func (s *server) run(text string, from origin) {
	for _, line := range splitCommands(text) {
		if len(line) > maxCommand {
			s.printf("WARNING: Command too long... ignoring!\n%s\n", line)
			continue
		}
		if c, ok := parseCommand(line, from); ok {
			s.execute(c)
		}
	}
}

func (s *server) execute(c command) {
	name := strings.ToLower(c.name)
	if run, ok := s.commands[name]; ok {
		run(s, c)
		return
	}
	v := s.cvars[name]
	switch {
	case v == nil, v.hidden && c.from != fromCommandLine:
		s.printf("Unknown command \"%s\"\n", c.name)
	case c.rest == "":
		s.print(v.describe())
	case v.cheat && c.from != fromCommandLine && s.number("sv_cheats") == 0:
		s.printf("Can't use cheat cvar %s in multiplayer, unless the server has sv_cheats set to 1.\n", v.name)
	default:
		s.setCvar(v, cvarValue(c.rest))
	}
}

func (s *server) setCvar(v *cvar, value string) {
	if v.value == value {
		return
	}
	v.value = value
	if v.notify && s.loaded {
		shown := value
		if v.protected {
			shown = "***PROTECTED***"
		}
		s.logLine(fmt.Sprintf("server_cvar: \"%s\" \"%s\"", v.name, shown))
	}
}

// consoleCommands lists the commands by name. It is a function because commands
// run commands: as a variable it would refer to itself.
func consoleCommands() map[string]func(*server, command) {
	return map[string]func(*server, command){
		"exec":            (*server).cmdExec,
		"echo":            (*server).cmdEcho,
		"map":             (*server).cmdMap,
		"changelevel":     (*server).cmdChangelevel,
		"maps":            (*server).cmdMaps,
		"status":          (*server).cmdStatus,
		"users":           (*server).cmdUsers,
		"stats":           (*server).cmdStats,
		"say":             (*server).cmdSay,
		"kickid":          (*server).cmdKickid,
		"kick":            (*server).cmdKick,
		"banid":           (*server).cmdBanid,
		"removeid":        (*server).cmdRemoveid,
		"listid":          (*server).cmdListid,
		"writeid":         (*server).cmdWriteid,
		"addip":           (*server).cmdAddip,
		"removeip":        (*server).cmdRemoveip,
		"listip":          (*server).cmdListip,
		"writeip":         (*server).cmdWriteip,
		"log":             (*server).cmdLog,
		"logaddress_add":  (*server).cmdLogaddressAdd,
		"logaddress_del":  (*server).cmdLogaddressDel,
		"logaddress_list": (*server).cmdLogaddressList,
		"maxplayers":      func(*server, command) {},
		"stuffcmds":       func(*server, command) {},
		"unbindall":       func(*server, command) {},
		"heartbeat":       func(*server, command) {},
		"logaddress_delall": func(s *server, _ command) {
			s.log.targets = nil
		},
		"update_addon_paths": (*server).cmdUpdateAddonPaths,
		"mission_reload":     func(*server, command) {}, // reads missions/ again; that shows only in menus
		"version":            (*server).cmdVersion,
		"cvarlist":           (*server).cmdCvarlist,
		"quit":               (*server).cmdQuit,
		"exit":               (*server).cmdQuit,
		"_restart":           (*server).cmdRestart,
		"sv_setmax":          (*server).cmdSetmax,
		"sm_cvar":            (*server).cmdSmCvar,
		"sm":                 (*server).cmdSm,
	}
}

// readConsole runs what is typed into standard input, for as long as that is
// open.
func (s *server) readConsole() {
	in := bufio.NewScanner(s.proc.Stdin)
	for in.Scan() {
		s.mu.Lock()
		s.run(in.Text()+"\n", fromConsole)
		s.mu.Unlock()
	}
}

func (s *server) cmdExec(c command) {
	name := c.arg(0)
	if filepath.Ext(name) == "" {
		name += ".cfg"
	}
	if strings.Contains(name, "..") || filepath.IsAbs(name) {
		s.printf("exec %s: invalid path.\n", name)
		return
	}
	s.execFile(name)
}

// execFile runs a file below cfg/.
func (s *server) execFile(name string) {
	if s.depth >= maxExecDepth {
		s.printf("exec: %s: nested too deep\n", name)
		return
	}
	b, err := os.ReadFile(filepath.Join(s.game, "cfg", name))
	if err != nil {
		s.printf("exec: couldn't exec %s\n", name)
		return
	}
	if len(b) > maxConfigSize {
		s.print("Cbuf_AddText: buffer overflow\n")
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	s.run(string(b), fromConfig)
}

func (s *server) cmdEcho(c command) { s.print(strings.Join(c.args, " ") + "\n") }

// cmdMap starts a map. Before the server runs it only notes which: the engine
// gets to it after the rest of the command line.
func (s *server) cmdMap(c command) {
	want := cvarValue(c.rest)
	if want == "" {
		s.print("Usage: map <mapname> [mode]\n")
		return
	}
	if s.udp == nil {
		s.nextMap = want
		return
	}
	s.loadMap(want)
}

func (s *server) cmdChangelevel(c command) {
	name, _, _ := strings.Cut(cvarValue(c.rest), " ")
	switch {
	case name == "":
		s.print("Usage: changelevel <mapname>\n")
	case !s.loaded:
		s.print("Can't changelevel, not running server\n")
	case !s.mapExists(name):
		s.printf("changelevel failed: %s not found\n", name)
	default:
		s.loadMap(name)
	}
}

// loadMap loads "map" or "map mode" and runs server.cfg, which the engine does
// at every map start. The caller holds s.mu: nobody is served meanwhile.
func (s *server) loadMap(want string) bool {
	name, mode, _ := strings.Cut(want, " ")
	if !s.mapExists(name) {
		s.printf("CModelLoader::Map_IsValid:  No such map 'maps/%s.bsp'\nmap load failed: %s not found or invalid\n", name, name)
		return false
	}
	if mode = strings.TrimSpace(mode); mode != "" {
		s.set("mp_gamemode", mode)
	}
	s.print("---- Host_NewGame ----\n")
	s.pause(600)
	s.printf("Host_NewGame on map %s\n", name)
	s.mapName = name
	s.logNewMap()
	s.pause(1200)
	s.print("String Table dictionary for downloadables should be rebuilt, only found 19 of 24 strings in dictionary\n")
	s.print("Executing dedicated server config file\n")
	s.execFile("server.cfg")
	if !s.loaded {
		s.loaded = true
		go s.opened()
	}
	s.logLine(fmt.Sprintf("Started map \"%s\" (CRC \"-1352213912\")", name))
	return true
}

func (s *server) cmdVersion(command) {
	s.printf("Protocol version 2100\nExe version %s (left4dead2)\nExe build: 12:00:00 Jul  1 2026 (10097) (550)\n", gameVersion)
}

func (s *server) cmdCvarlist(command) {
	n := 0
	for _, name := range slices.Sorted(maps.Keys(s.cvars)) {
		if v := s.cvars[name]; !v.hidden {
			s.printf("%-40s : %-8s\n", v.name, v.value)
			n++
		}
	}
	s.printf("--------------\n%3d total convars/concommands\n", n)
}

func (s *server) cmdQuit(command) {
	s.closeLog()
	s.exit(0)
}

// cmdRestart ends with a failure, which makes srcds_run start again.
func (s *server) cmdRestart(command) {
	s.closeLog()
	s.exit(1)
}

// cmdSetmax exists only with the L4DToolZ plug-in.
func (s *server) cmdSetmax(c command) {
	if _, err := os.Stat(filepath.Join(s.game, "addons", "l4dtoolz")); err != nil {
		s.printf("Unknown command \"%s\"\n", c.name)
		return
	}
	if n := int(leadingNumber(c.arg(0))); n >= 1 && n <= 32 {
		s.maxAsked = n
	}
}

func (s *server) sourcemod() bool {
	_, err := os.Stat(filepath.Join(s.game, "addons", "sourcemod"))
	return err == nil
}

// cmdSmCvar reaches hidden cvars, if SourceMod is there.
func (s *server) cmdSmCvar(c command) {
	v := s.cvars[strings.ToLower(c.arg(0))]
	switch {
	case !s.sourcemod():
		s.printf("Unknown command \"%s\"\n", c.name)
	case c.arg(0) == "":
		s.print("[SM] Usage: sm_cvar <cvar> [value]\n")
	case v == nil:
		s.printf("[SM] Unable to find cvar: %s\n", c.arg(0))
	case len(c.args) == 1:
		s.printf("[SM] Value of cvar \"%s\": \"%s\"\n", v.name, v.value)
	default:
		value := strings.Join(c.args[1:], " ")
		s.setCvar(v, value)
		s.printf("[SM] Changed cvar \"%s\" to \"%s\".\n", v.name, value)
	}
}

func (s *server) cmdSm(c command) {
	switch {
	case !s.sourcemod():
		s.printf("Unknown command \"%s\"\n", c.name)
	case c.rest == "plugins list":
		s.print("[SM] Listing 1 plugin:\n  01 \"Basic Commands\" (1.12.0.7246) by AlliedModders LLC\n")
	default:
		s.print("SourceMod Menu:\nUsage: sm <command> [arguments]\n")
	}
}
