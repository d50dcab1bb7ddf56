package hostops

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// cause is why a game ended, hangs or works only in part: one sentence without
// its stop, with what to do about it.
type cause struct {
	key      string
	sentence string
	file     string // the add-on it is about, "" when it is about none
	weak     bool   // does not take the place of another
}

// causeLines are lines of the game's console and what they mean. The first that
// matches counts. say gets the pattern's groups. The lines are those of the
// domain notes on srcds; what is only noise there must match nothing here.
var causeLines = []struct {
	key     string
	pattern *regexp.Regexp
	weak    bool
	say     func(m []string) (sentence, file string)
}{
	{
		key: "port", pattern: regexp.MustCompile(`^Couldn't allocate any server IP port`),
		say: text("it could not bind its port, because another program took it first: end that program, or give the server another port"),
	},
	{
		key: "steamclient", pattern: regexp.MustCompile(`^dlopen failed trying to load|steamclient\.so: cannot open shared object file`),
		say: text("it did not find steamclient.so in .steam/sdk32, without which it crashes at every start: run l4d2ctl install again, which puts it there"),
	},
	{
		key: "execstack", pattern: regexp.MustCompile(`(?:^|[\s("'])([^\s("':]+): cannot enable executable stack`),
		say: sayExecutableStack,
	},
	{
		key: "library", pattern: regexp.MustCompile(`(?:^|[\s(])([^\s():]+\.so[.0-9]*): cannot open shared object file`), weak: true,
		say: sayLibrary,
	},
	{
		key: "unreadable", pattern: regexp.MustCompile(`(?i)^(?:unable to|could(?: not|n't)|failed to) (?:open|read) (?:file )?['"]?([^'"]*\.vpk)\b`),
		say: sayUnreadable,
	},
	{
		key: "vpk", pattern: regexp.MustCompile(`(?i)([^\s'":]+\.vpk)\b['"]?:? (?:is|has|appears) .*(?:not a valid|invalid|corrupt|unknown|bad)`),
		say: sayBadVPK,
	},
	{
		key: "gameinfo", pattern: regexp.MustCompile(`^Setup file 'gameinfo.txt' doesn't exist`),
		say: text("the game's own files are not complete (gameinfo.txt is missing): run l4d2ctl install"),
	},
	{
		key: "map", pattern: regexp.MustCompile(`No such map 'maps/([^']+)\.bsp'|^map load failed: (\S+) not found`),
		say: sayNoMap,
	},
}

// lanLines say that a game came up without Steam, and why.
var lanLines = []struct{ part, reason string }{
	{"Unable to load Steam support library", "the game could not load Steam's library: run l4d2ctl install again; an overlay must not bring a steam_appid.txt or libraries of its own in bin/"},
	{"This server will operate in LAN mode only", "Steam's library did not start"},
}

func text(sentence string) func([]string) (string, string) {
	return func([]string) (string, string) { return sentence, "" }
}

// causeOf is what one line tells, nil when it is no explanation.
func causeOf(line string) *cause {
	for _, c := range causeLines {
		m := c.pattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		sentence, file := c.say(m)
		if sentence == "" {
			return nil
		}
		return &cause{key: c.key, sentence: sentence, file: file, weak: c.weak}
	}
	return nil
}

// sayExecutableStack tells the game's own libraries, which an update mends, from
// a plug-in's. Seen with glibc 2.41, which Debian 13 has.
func sayExecutableStack(m []string) (string, string) {
	mend := "run l4d2ctl install for a newer build of the game; if it is the same, clear the mark with: patchelf --clear-execstack"
	if strings.Contains(m[1], "addons/") || strings.HasSuffix(m[1], ".ext.so") || !strings.HasSuffix(m[1], "_srv.so") {
		mend = "take a newer build of the plug-in it belongs to, or clear the mark in its overlay with: patchelf --clear-execstack"
	}
	return fmt.Sprintf("this host's C library (glibc 2.41 or newer) does not load %s, because that file asks for an executable stack: %s", path.Base(m[1]), mend), ""
}

// libraryPackages are Debian's packages of the 32-bit libraries.
var libraryPackages = map[string]string{
	"libgcc_s.so.1":  "lib32gcc-s1",
	"libstdc++.so.6": "lib32stdc++6",
	"libc.so.6":      "libc6-i386",
	"libm.so.6":      "libc6-i386",
	"libdl.so.2":     "libc6-i386",
	"librt.so.1":     "libc6-i386",
	"libz.so.1":      "lib32z1",
	"libtinfo.so.6":  "lib32tinfo6",
}

func sayLibrary(m []string) (string, string) {
	name := path.Base(m[1])
	switch {
	case strings.HasPrefix(name, "libcurl"), strings.Contains(m[1], "left4dead2_dlc"):
		return "", "" // crash reports cannot be sent; tried before the base one: both happen on healthy servers
	case strings.HasSuffix(name, "_srv.so"):
		return fmt.Sprintf("the game's own library %s is missing: run l4d2ctl install", name), ""
	case libraryPackages[name] != "":
		return fmt.Sprintf("the 32-bit library %s is missing on this host: as root run apt-get install %s", name, libraryPackages[name]), ""
	}
	return fmt.Sprintf("the 32-bit library %s is missing: install the package that has it, or the overlay that should bring it", name), ""
}

func sayUnreadable(m []string) (string, string) {
	name := path.Base(m[1])
	return fmt.Sprintf("it may not read the add-on %s, and waits for it for ever: let the game's user read the file (mode 0644), or take it out of its overlay", name), name
}

func sayBadVPK(m []string) (string, string) {
	name := path.Base(m[1])
	return fmt.Sprintf("the add-on %s is no VPK that the engine can read, and it crashes on it at every start: take the file out of its overlay, or get it again", name), name
}

func sayNoMap(m []string) (string, string) {
	name := m[1] + m[2] // one of them is empty
	return fmt.Sprintf("there is no map %s in the game's files: mend +map in the arguments, or add the overlay that has the map", short(name)), ""
}
