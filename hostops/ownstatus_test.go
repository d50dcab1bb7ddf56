package hostops

import (
	"strings"
	"testing"
)

func TestOwnStatusIsLeftOut(t *testing.T) {
	const console = `Server is hibernating
rcon from "127.0.0.1:58426": command "status"
hostname: Friday "versus" ; $(id)
version : 2.2.4.3 10097 secure  (unknown)
udp/ip  : 192.0.2.2:27015 [ public 203.0.113.5:27015 ]
os      : Linux Dedicated
map     : c2m1_highway
players : 1 humans, 1 bots (8 max) (not hibernating) (unreserved)

# userid name uniqueid connected ping loss state rate adr
#  2 1 "#end" STEAM_1:0:12345678 00:48 29 0 active 100000 198.51.100.7:27005
#27 "Coach" BOT active
#end
hostname: said somebody
#end
L 11/22/2026 - 00:01:01: rcon from "127.0.0.1:58427": command "status"
hostname: cut off
L 11/22/2026 - 00:01:02: "Zoey<4><STEAM_1:1:1><Survivor>" say "gg"
map     : not ours
rcon from "192.0.2.1:50000": command "status"
hostname: somebody else asked
rcon from "127.0.0.1:58428": command "say hello"
Console: hello`
	const want = `Server is hibernating
hostname: said somebody
#end
L 11/22/2026 - 00:01:02: "Zoey<4><STEAM_1:1:1><Survivor>" say "gg"
map     : not ours
rcon from "192.0.2.1:50000": command "status"
hostname: somebody else asked
rcon from "127.0.0.1:58428": command "say hello"
Console: hello`
	var own ownStatus
	var got []string
	for line := range strings.SplitSeq(console, "\n") {
		if !own.hides(line) {
			got = append(got, line)
		}
	}
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("what is left:\n%s\nwant:\n%s", text, want)
	}
}

// A game that never ends its answer cannot make its whole log disappear.
func TestOwnStatusIsBounded(t *testing.T) {
	var own ownStatus
	own.hides(`rcon from "127.0.0.1:1": command "status"`)
	for range 1000 {
		if !own.hides("# 1") {
			return
		}
	}
	t.Error("a thousand lines were hidden")
}
