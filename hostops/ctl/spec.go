package ctl

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Spec is what `l4d2ctl initialize NAME -f spec.yaml` takes: everything the host
// needs to know about one instance. The host validates every value as if its
// author were hostile; see hostops.ParseSpec for the rules.
type Spec struct {
	// Port is the game's UDP port and RCON's TCP port: 1024 to 65535.
	Port int `json:"port" yaml:"port"`
	// Overlays are refs below overlays/, uppermost first, such as 12/v3.
	Overlays []string `json:"overlays,omitempty" yaml:"overlays,omitempty"`
	// Exec lists those of Overlays whose own cfg/server.cfg is executed before
	// Config, the lowest first, so that upper ones win.
	Exec []string `json:"exec,omitempty" yaml:"exec,omitempty"`
	// Arguments is an argv, never a shell string.
	Arguments []string `json:"arguments,omitempty" yaml:"arguments,omitempty"`
	// Hostname is the name in the server browser; empty leaves it to the config.
	Hostname string `json:"hostname,omitempty" yaml:"hostname,omitempty"`
	// RCONPassword is 8 to 64 letters and digits. It always comes last in
	// server.cfg, so that no line of the config can win over it.
	RCONPassword string `json:"rcon_password" yaml:"rcon_password"`
	// Config is the user's part of cfg/server.cfg.
	Config string `json:"config,omitempty" yaml:"config,omitempty"`
}

// Encode renders the spec as JSON, which is YAML as well: what the worker pipes
// into `initialize NAME -f -`.
func (s Spec) Encode() ([]byte, error) { return json.Marshal(s) }

// Sum identifies the spec's content: SHA-256 of its encoding, in hex. It is what
// Applied.Spec holds, so that a caller sees whether the running game was started
// with what it would now apply.
func (s Spec) Sum() string {
	data, err := s.Encode()
	if err != nil { // strings, numbers and lists always encode
		panic(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
