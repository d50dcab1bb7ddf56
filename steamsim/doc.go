// Package steamsim is a simulated Steam: a steamcmd that "installs" Left 4
// Dead 2, the game server that comes out of that install, and the workshop with
// its Web API and file host. Tests and the demo run against it because the real
// thing is a 9 GB download and its failures cannot be ordered.
//
// It imitates what can be observed from outside: output lines and how they are
// buffered, exit codes, files, and RCON, A2S and HTTP on real sockets. It has no
// back door. Whatever a test wants to know it learns as it would from the real
// programs: from /proc/PID/cmdline, from RCON, from the log. One exception tells
// and changes nothing: the web side keeps book of the bytes it has sent (Web).
//
// It imports nothing else of this project, so that a mistake in our RCON, A2S
// or KeyValues code cannot hide behind the same mistake here.
//
// One binary plays every part and knows its part by its own name (Act):
//
//   - steamsim: `steamsim link DIR` makes DIR/steamcmd.sh, DIR/linux32/ and the
//     control file DIR/steamsim.json (Link, Control); `steamsim serve` is the
//     Web API, the file host and a mirror of what recipes fetch (Serve, Web);
//     `steamsim catalogue` lists what the workshop has (catalogue.go).
//   - steamcmd: the client (steamcmd.go), which leaves behind
//   - srcds_linux: the game server (srcds.go), a copy of the same binary.
//
// The control file chooses speed and failures:
//
//	{"speed": "fast",
//	 "steamcmd": {"scenario": "missing_configuration", "count": 2},
//	 "srcds": {"players": true, "seed": 7},
//	 "workshop": {"api": {"fault": "rate_limited", "count": 3, "retry_after": 2},
//	              "items": {"3100000001": {"revision": 2},
//	                        "3100000002": {"faults": ["flaky"]},
//	                        "3100000003": {"faults": ["truncated"], "count": 2}}},
//	 "mirror": {"release": 2}}
//
// The web side reads it for each request, so that a running test can change it.
//
// Truths of the real programs that surprise, and are imitated: without a
// terminal both print in blocks of 4 KB; steamcmd reports several failures with
// status 0 or loses its last lines to a crash; srcds_linux does not start
// without LD_LIBRARY_PATH=.:bin and -game, knows no default map, opens RCON on
// the primary address only unless told +ip 0.0.0.0, answers RCON only after
// server.cfg was run, never answers A2S on 127.0.0.1, crashes without
// ~/.steam/sdk32/steamclient.so and with a file in addons/ that is no VPK; and
// steamcmd calls an item downloaded that stands in its record, file or no file.
//
// Start reading in role.go; scenario.go is the table of everything that can go
// wrong in an install, fault.go of everything that can be wrong with an item.
package steamsim
