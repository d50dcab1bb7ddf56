package steamsim

import (
	"slices"
	"strings"
)

// cvar is a console variable.
type cvar struct {
	name, def, value string
	cheat            bool // settable only with sv_cheats 1, or by sm_cvar
	hidden           bool // unknown to cfg files, console and RCON; sm_cvar reaches it
	notify           bool // told to everybody who asks A2S for rules
	protected        bool // rules say whether it is set, not what it is
}

// cvarTable lists name, default and flags (c cheat, h hidden, n in
// the rules, p protected), one a line.
const cvarTable = `
hostname "Left 4 Dead 2"
hostport 27015
ip localhost
rcon_password "" p
rcon_address ""
sv_password "" np
sv_tags "" nh
sv_steamgroup "" n
sv_steamgroup_exclusive 0 n
sv_search_key ""
sv_region -1
sv_lan 0
sv_cheats 0 n
sv_consistency 1 n
sv_pure 0 n
sv_pure_kick_clients 1 n
sv_pausable 0 n
sv_alltalk 0 n
sv_voiceenable 1 n
sv_gametypes "coop,realism,versus,survival,scavenge"
sv_visiblemaxplayers -1
sv_allow_lobby_connect_only 1
sv_force_unreserved 0 h
sv_hibernate_when_empty 1 h
sv_hibernate_ms 20
sv_contact "" n
sv_downloadurl ""
sv_allowdownload 1
sv_allowupload 1
sv_allow_wait_command 1 h
sv_logecho 1
sv_logfile 1
sv_logbans 0
sv_logflush 0
sv_logsdir logs
sv_log_onefile 0
sv_logsecret 0
sv_rcon_banpenalty 0
sv_rcon_maxfailures 10
sv_rcon_minfailures 5
sv_rcon_minfailuretime 30
sv_rcon_log 1
sv_max_queries_sec 3
sv_max_queries_sec_global 60
sv_max_queries_window 30
sv_minrate 5000 h
sv_maxrate 30000 h
sv_minupdaterate 10 h
sv_maxupdaterate 60 h
sv_mincmdrate 0 h
sv_maxcmdrate 40 h
sv_maxunlag 1 h
sv_client_min_interp_ratio 1 h
sv_client_max_interp_ratio 5 h
sv_client_predict -1 h
sv_clockcorrection_msecs 60 h
sv_unlag 1
sv_unlag_fixstuck 0 h
sv_forcepreload 0 h
net_splitpacket_maxrate 30000 h
net_maxfilesize 16
net_maxcleartime 4 h
fps_max 300
nb_update_frequency 0.1 c
nb_update_framelimit 15 c
nb_update_maxslide 2 h
mp_gamemode coop nh
mp_disable_autokick 0
mp_allowspectators 1 n
mp_autokick 0 n
mp_autoteambalance 0 n
mp_c4timer 45 n
mp_fadetoblack 0 n
mp_falldamage 0 n
mp_flashlight 1 n
mp_footsteps 1 n
mp_forcerespawn 1 n
mp_fraglimit 0 n
mp_friendlyfire 1 n
mp_limitteams 2 n
mp_roundtime 2.5 n
mp_teamlist hgrunt;scientist n
mp_teamplay 0 n
mp_timelimit 0 n
mp_weaponstay 0 n
z_difficulty Normal n
z_common_limit 30 n
z_mega_mob_size 50
z_tank_health 4000
director_no_bosses 0
survivor_limit 4 n
survivor_friendly_fire_factor_normal 0.1
versus_boss_spawning 1
vs_max_team_switches 1
motdfile motd.txt
hostfile host.txt
motd_enabled 1 n
tv_enable 0 n
tv_port 27020 n
tv_name SourceTV
tv_maxclients 32
tv_password "" np
tv_relaypassword "" np
servercfgfile server.cfg
clientport 27005
sv_accelerate 10 n
sv_airaccelerate 10 n
sv_bounce 0 n
sv_footsteps 1 n
sv_friction 4 n
sv_gravity 800 n
sv_maxspeed 320 n
sv_noclipaccelerate 5 n
sv_noclipfriction 4 n
sv_noclipspeed 5 n
sv_rollangle 0 n
sv_rollspeed 200 n
sv_specaccelerate 5 n
sv_specnoclip 1 n
sv_specspeed 3 n
sv_stepsize 18 n
sv_stopspeed 75 n
sv_wateraccelerate 10 n
sv_waterfriction 1 n
sv_vote_issue_change_difficulty_allowed 1
sv_vote_issue_kick_allowed 1
sv_vote_creation_timer 180
decalfrequency 10 n
deathmatch 0 n
coop 0 n
r_AirboatViewDampenDamp 1.0 n
r_AirboatViewDampenFreq 7.0 n
r_AirboatViewZHeight 0.0 n
r_JeepViewDampenDamp 1.0 n
r_JeepViewDampenFreq 7.0 n
r_JeepViewZHeight 10.0 n
r_VehicleViewDampen 1 n
mp_holdnotes 0 n
mp_restartgame 0 n
mp_tkpunish 0 n
mp_spectators_max 4 n
sv_allowminmodels 1 n
sv_backspeed 0.6 n
sv_competitive_minspec 0 n
sv_forceupload 0 n
sv_infinite_ammo 0 n
sv_pushaway_clientside 0 n
sv_skyname sky_l4d_rural02_hdr n
sv_turbophysics 0 n
director_afk_timeout 45 n
director_build_up_min_interval 15 n
survivor_max_incapacitated_count 2 n
versus_round_restarttimer 60 n
vs_survival_bonus 25 n
z_exploder_limit 1 n
z_hunter_limit 1 n
z_smoker_limit 1 n
z_versus_boomer_limit 1 n
z_versus_hunter_limit 1 n
z_versus_smoker_limit 1 n
`

func newCvars() map[string]*cvar {
	out := map[string]*cvar{}
	for line := range strings.Lines(cvarTable) {
		c, ok := parseCommand(line, fromConfig)
		if !ok {
			continue
		}
		flags := c.arg(1)
		out[strings.ToLower(c.name)] = &cvar{
			name: c.name, def: c.arg(0), value: c.arg(0),
			cheat:     strings.Contains(flags, "c"),
			hidden:    strings.Contains(flags, "h"),
			notify:    strings.Contains(flags, "n"),
			protected: strings.Contains(flags, "p"),
		}
	}
	return out
}

// get returns the value of a cvar of the table.
func (s *server) get(name string) string {
	if v := s.cvars[name]; v != nil {
		return v.value
	}
	return ""
}

// number returns a cvar as the engine reads numbers: the digits it starts with,
// 0 if there are none.
func (s *server) number(name string) float64 { return leadingNumber(s.get(name)) }

func (s *server) set(name, value string) {
	if v := s.cvars[strings.ToLower(name)]; v != nil {
		v.value = value
	}
}

// rules returns the cvars that A2S_RULES tells, sorted by name.
func (s *server) rules() [][2]string {
	var out [][2]string
	for _, v := range s.cvars {
		if !v.notify {
			continue
		}
		value := v.value
		if v.protected {
			value = "0"
			if v.value != "" {
				value = "1"
			}
		}
		out = append(out, [2]string{v.name, value})
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// describe prints a cvar as the console does when asked for it.
func (v *cvar) describe() string {
	text := `"` + v.name + `" = "` + v.value + `"`
	if v.value != v.def {
		text += ` ( def. "` + v.def + `" )`
	}
	if v.notify {
		text += "\n notify"
	}
	return text + "\n"
}

// leadingNumber reads a number as C's atof does.
func leadingNumber(text string) float64 {
	text = strings.TrimLeft(text, " \t")
	var n, scale float64 = 0, 1
	sign, fraction := 1.0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case i == 0 && c == '-':
			sign = -1
		case i == 0 && c == '+':
		case c == '.' && !fraction:
			fraction = true
		case c >= '0' && c <= '9':
			n = n*10 + float64(c-'0')
			if fraction {
				scale *= 10
			}
		default:
			return sign * n / scale
		}
	}
	return sign * n / scale
}
