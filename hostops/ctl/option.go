package ctl

import "strings"

// Option is a launch argument that people commonly give, in words.
type Option struct {
	Name  string `json:"name"`            // as it is written, such as -tickrate
	Value string `json:"value,omitempty"` // what stands behind it; "" for nothing
	Help  string `json:"help"`            // one sentence
}

// options are the arguments that Left 4 Dead 2's dedicated server is known to take.
// What left4me gives itself (port, address, game) is not among them.
var options = []Option{
	{"+map", "c1m1_hotel versus", "The first map, and behind it the mode that is played."},
	{"+mp_gamemode", "versus", "The mode at the start. The variable is hidden later on, so a config cannot set it."},
	{"-maxplayers", "8", "How many may be on it at most. The game takes 8 without a plug-in such as L4DToolZ, and 18 with one."},
	{"+maxplayers", "8", "The same as -maxplayers."},
	{"+sv_setmax", "31", "How many slots L4DToolZ makes, at most 31. It needs that plug-in."},
	{"-tickrate", "60", "How often a second the game computes. It stays at 30 without the Tickrate Enabler or L4DToolZ."},
	{"+exec", "mine.cfg", "A file below left4dead2/cfg that is executed once, before the first map."},
	{"+fps_max", "0", "How many frames a second the game computes at most; 0 for no bound."},
	{"+sv_lan", "0", "1 keeps the server off Steam: only the local network finds it."},
	{"+sv_pure", "2", "How strictly the files of players are compared with the server's."},
	{"+sv_consistency", "1", "Whether players with changed files are turned away."},
	{"+sv_region", "3", "Where the server says it is. 255 is the whole world."},
	{"+sv_steamgroup", "38347879", "The number of the Steam group that the server belongs to."},
	{"+sv_search_key", "friends", "Only players with the same key find the server by searching."},
	{"+sv_clockcorrection_msecs", "25", "How far a player's clock may be off, in milliseconds, before it is put right."},
	{"+sm_basepath", "addons/sourcemod", "Where SourceMod lies, when it is not in its usual folder."},
	{"+clientport", "27005", "The port for outgoing traffic. The game takes the next one when it is in use."},
	{"+tv_enable", "1", "Switches SourceTV on."},
	{"+tv_port", "27020", "SourceTV's port: servers on one host need one each."},
	{"-insecure", "", "Switches Valve's protection against cheats off."},
	{"-nowatchdog", "", "The game does not end itself when it stands still for long, as while it loads a huge campaign."},
	{"-heapsize", "268435", "How much memory is set aside for the game's own heap, in kilobytes."},
	{"-timeout", "3", "How many seconds the game waits before it starts again. left4me restarts it anyway."},
	{"-nomaster", "", "The server does not tell Steam's list about itself."},
	{"-noipx", "", "No IPX, which nobody uses any more."},
	{"-debug", "", "Writes what is known of a crash into debug.log."},
	{"-dev", "", "Prints more than usual to the console."},
}

// Options lists the launch arguments that people commonly give.
func Options() []Option { return append([]Option(nil), options...) }

// OptionNamed finds the words for an argument, whatever its case, as the engine
// compares it. One that is not known has no help.
func OptionNamed(name string) Option {
	for _, o := range options {
		if strings.EqualFold(o.Name, name) {
			return o
		}
	}
	return Option{Name: name}
}
