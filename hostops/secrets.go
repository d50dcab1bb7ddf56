package hostops

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"left4me/hostops/servercfg"
	"left4me/hostops/supervisor"
)

// gamePassword is the RCON password that the running game has: the one of the
// layer it has mounted, which differs from the spec's after an initialize while
// it runs. Trying the wrong one would get this host banned by its own server.
func (h *Host) gamePassword(name string, inst supervisor.Instance) string {
	if inst.Applied != nil && inst.Applied.Layer != "" {
		path := h.path(filepath.FromSlash(inst.Applied.Layer), cfgPath)
		if data, err := os.ReadFile(path); err == nil {
			return servercfg.Last(string(data), "rcon_password")
		}
	}
	if spec, err := h.readSpec(name); err == nil {
		return spec.RCONPassword
	}
	return ""
}

// masker takes an instance's RCON passwords out of what is shown: the one it
// would start with and those of its layers, since one of them may be running.
type masker struct {
	h    *Host
	name string

	mu      sync.Mutex
	read    time.Time
	secrets []string
}

// maskFresh is how long passwords that were read are believed.
const maskFresh = 2 * time.Second

func (h *Host) maskerOf(name string) *masker { return &masker{h: h, name: name} }

func (m *masker) mask(text string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.read) > maskFresh {
		m.refresh()
	}
	for _, s := range m.secrets {
		text = strings.ReplaceAll(text, s, servercfg.Mask)
	}
	return maskSettings(text)
}

// setsSecret finds what a variable that is a secret is set to, or said to be:
//
//	rcon from "192.0.2.9:50000": command "sv_password hunter2"
//	"sv_password" = "hunter2" ( def. "" )
var setsSecret = regexp.MustCompile(`(?i)\b((?:rcon|sv|tv|tv_relay)_?password|sv_setsteamaccount)("?[ \t]*[ \t=:][ \t]*)((?:"[^"]*"?|[^;"])+)`)

func maskSettings(text string) string {
	if lower := strings.ToLower(text); !strings.Contains(lower, "password") && !strings.Contains(lower, "sv_setsteamaccount") {
		return text // nearly every line
	}
	return setsSecret.ReplaceAllString(text, "$1 "+servercfg.Mask)
}

func (m *masker) refresh() {
	m.read = time.Now()
	found := []string{}
	if spec, err := m.h.readSpec(m.name); err == nil {
		found = append(found, spec.RCONPassword)
	}
	layers, err := filepath.Glob(m.h.path(dirInstances, m.name, layersDir, "*", cfgPath))
	if err == nil {
		for _, path := range layers {
			if data, err := os.ReadFile(path); err == nil {
				found = append(found, servercfg.Last(string(data), "rcon_password"))
			}
		}
	}
	// What was secret once stays masked: the log still holds older lines.
	for _, s := range found {
		if s != "" && !slices.Contains(m.secrets, s) {
			m.secrets = append(m.secrets, s)
		}
	}
}
