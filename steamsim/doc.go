// Package steamsim is a simulated Steam: a steamcmd that "installs" Left 4
// Dead 2 and the game server that comes out of that install. Tests and the
// demo run against it because the real thing is a 9 GB download and its
// failures cannot be ordered.
//
// It imitates what can be observed from outside: output lines and how they are
// buffered, exit codes, files, and RCON and A2S on real sockets. It has no back
// door. Whatever a test wants to know it learns as it would from the real
// programs: from /proc/PID/cmdline, from RCON, from the log.
//
// It imports nothing else of this project, so that a mistake in our RCON, A2S
// or KeyValues code cannot hide behind the same mistake here.
//
// One binary plays every part and knows its part by its own name (Act):
//
//   - steamsim: `steamsim link DIR` makes DIR/steamcmd.sh, DIR/linux32/ and the
//     control file DIR/steamsim.json (Link, Control).
//   - steamcmd: the client (steamcmd.go), which leaves behind
//   - srcds_linux: the game server (srcds.go), a copy of the same binary.
//
// The control file chooses speed and failures:
//
//	{"speed": "fast",
//	 "steamcmd": {"scenario": "missing_configuration", "count": 2},
//	 "srcds": {"players": true, "seed": 7}}
//
// Truths of the real programs that surprise, and are imitated: without a
// terminal both print in blocks of 4 KB; steamcmd reports several failures with
// status 0 or loses its last lines to a crash; srcds_linux does not start
// without LD_LIBRARY_PATH=.:bin and -game, knows no default map, opens RCON on
// the primary address only unless told +ip 0.0.0.0, answers RCON only after
// server.cfg was run, never answers A2S on 127.0.0.1, and crashes without
// ~/.steam/sdk32/steamclient.so.
//
// Start reading in role.go; scenario.go is the table of everything that can go
// wrong in an install.
package steamsim
