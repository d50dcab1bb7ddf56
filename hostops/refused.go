package hostops

import (
	"os"
	"time"

	"left4me/hostops/supervisor"
)

// A game bans the address that sends a wrong RCON password a few times, and keeps
// the ban in a file. Something of the game's own may change the password behind
// server.cfg, so a rejection is remembered for the run that it happened on, and
// no command of ours asks that run again.

// refusedFile lies in the instance's directory and names the run.
const refusedFile = "rcon-refused"

// refusedAfter is how old a run must be for a rejection to be believed: around
// the moment that server.cfg is read it says nothing.
const refusedAfter = 30 * time.Second

func runOf(inst supervisor.Instance) string {
	return inst.Since.UTC().Format(time.RFC3339Nano)
}

// rconRefused reports whether this run of the game rejected its password.
func (h *Host) rconRefused(name string, inst supervisor.Instance) bool {
	data, err := os.ReadFile(h.path(dirInstances, name, refusedFile))
	return err == nil && string(data) == runOf(inst)
}

// noteRefused remembers a rejection. If that fails, the next command asks once
// more; the game allows some.
func (h *Host) noteRefused(name string, inst supervisor.Instance) {
	if time.Since(inst.Since) > refusedAfter {
		_ = writeDurably(h.path(dirInstances, name, refusedFile), []byte(runOf(inst)), 0o600) // see above
	}
}
