// Package archtest keeps the arrows between packages: an absent arrow is a rule.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport says what of ours a package may import, tests left out. A package
// that is not here fails the test, so that a new one is a decision.
var mayImport = map[string]string{
	"models":            "models/migrations",
	"models/migrations": "",
	"models/modelstest": "models",
	"jobs":              "models",
	"jobs/worker":       "jobs models hostops/ctl",
	"webui":             "hostops/ctl jobs models", // ctl is words only: what a version, a finding and a campaign are

	"hostops":                      "hostops/a2s hostops/advice hostops/archive hostops/ctl hostops/gate hostops/keyvalues hostops/overlay hostops/profiles hostops/rcon hostops/recipes hostops/sandbox hostops/servercfg hostops/steam hostops/supervisor hostops/vpk hostops/workshop overlayhelper",
	"hostops/ctl":                  "",
	"hostops/a2s":                  "",
	"hostops/keyvalues":            "",
	"hostops/charset":              "",
	"hostops/vpk":                  "hostops/charset",
	"hostops/vpk/vpktest":          "",
	"hostops/missions":             "hostops/charset hostops/ctl hostops/keyvalues",
	"hostops/gate":                 "hostops/charset hostops/ctl hostops/missions hostops/vpk",
	"hostops/archive":              "hostops/charset",
	"hostops/overlay":              "hostops/ctl hostops/servercfg",
	"hostops/servercfg":            "hostops/ctl",
	"hostops/advice":               "hostops/ctl hostops/servercfg",
	"hostops/gamefiles":            "hostops/ctl hostops/overlay hostops/servercfg",
	"hostops/confine":              "",
	"hostops/units":                "hostops/ctl",
	"hostops/fetch":                "",
	"hostops/picture":              "",
	"hostops/profiles":             "hostops/ctl hostops/fetch hostops/picture",
	"hostops/workshop":             "hostops/ctl hostops/fetch hostops/gate hostops/picture hostops/steam",
	"hostops/sandbox":              "hostops/confine hostops/ctl hostops/fetch hostops/units",
	"hostops/recipes":              "hostops/ctl",
	"hostops/rcon":                 "",
	"hostops/privilege":            "hostops/ctl",
	"hostops/steam":                "hostops/ctl hostops/keyvalues",
	"hostops/supervisor":           "hostops/confine hostops/ctl hostops/units overlayhelper",
	"hostops/supervisor/suitetest": "hostops/ctl hostops/supervisor",
	"overlayhelper":                "",
	"overlayhelper/mount":          "overlayhelper",

	// The simulation shares no code with what it tests.
	"steamsim": "",

	"deploy":            "", // its test only
	"internal/archtest": "",
	"internal/embedded": "",
	"internal/testenv":  "internal/embedded models",
	"internal/e2e":      "",

	"cmd/left4me":         "hostops/advice hostops/ctl hostops/gamefiles hostops/overlay hostops/privilege hostops/recipes hostops/servercfg internal/embedded jobs jobs/worker models webui",
	"cmd/l4d2ctl":         "hostops hostops/ctl hostops/fetch hostops/gate hostops/privilege hostops/sandbox hostops/steam hostops/supervisor hostops/vpk",
	"cmd/left4me-overlay": "overlayhelper overlayhelper/mount",
	"cmd/steamsim":        "steamsim",
}

// mayNotUse are packages of others that would break what a package promises not
// to know.
var mayNotUse = map[string][]string{
	"webui":               {"os/exec", "github.com/hibiken/asynq", "github.com/redis/go-redis/v9"},
	"models":              {"net/http", "os/exec", "github.com/redis/go-redis/v9", "github.com/hibiken/asynq", "github.com/gin-gonic/gin"},
	"jobs":                {"net/http", "os/exec", "github.com/gin-gonic/gin"},
	"jobs/worker":         {"net/http", "github.com/gin-gonic/gin"},
	"hostops":             {"github.com/uptrace/bun", "github.com/redis/go-redis/v9", "github.com/gin-gonic/gin", "github.com/hibiken/asynq"},
	"cmd/l4d2ctl":         {"github.com/uptrace/bun", "github.com/redis/go-redis/v9", "github.com/gin-gonic/gin", "github.com/hibiken/asynq"},
	"cmd/left4me-overlay": {"os/exec", "net"},
	"overlayhelper/mount": {"os/exec", "net", "os/user"},
}

// onlyStandard are packages whose whole dependency list is the standard library
// and what is named.
var onlyStandard = map[string][]string{
	"hostops/ctl":         nil,
	"hostops/a2s":         nil,
	"hostops/keyvalues":   nil,
	"hostops/charset":     {"golang.org/x/text/encoding", "golang.org/x/text/encoding/internal", "golang.org/x/text/encoding/internal/identifier", "golang.org/x/text/encoding/simplifiedchinese", "golang.org/x/text/transform"},
	"hostops/rcon":        nil,
	"steamsim":            nil,
	"overlayhelper":       nil,
	"overlayhelper/mount": {"golang.org/x/sys/unix"},
	"cmd/left4me-overlay": {"golang.org/x/sys/unix"},
}

type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

const module = "left4me/"

func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", "left4me/...")
	cmd.Dir = "../.."
	var errout bytes.Buffer
	cmd.Stderr = &errout
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errout.String())
	}
	all := map[string]listed{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func TestImports(t *testing.T) {
	all := list(t)
	for path, p := range all {
		name, ours := strings.CutPrefix(path, module)
		if !ours {
			continue
		}
		rule, known := mayImport[name]
		if !known {
			t.Errorf("%s is new: say in mayImport what it may import", name)
			continue
		}
		allowed := strings.Fields(rule)
		for _, imported := range p.Imports {
			if dep, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(allowed, dep) {
				t.Errorf("%s imports %s, and there is no such arrow", name, dep)
			}
			if slices.Contains(mayNotUse[name], imported) {
				t.Errorf("%s imports %s, which it must not know", name, imported)
			}
		}
	}
}

func TestSmallDependencyLists(t *testing.T) {
	all := list(t)
	for name, extra := range onlyStandard {
		p, ok := all[module+name]
		if !ok {
			t.Errorf("%s does not exist", name)
			continue
		}
		for _, dep := range p.Deps {
			if all[dep].Standard || slices.Contains(extra, dep) || strings.HasPrefix(dep, module) {
				continue
			}
			t.Errorf("%s depends on %s", name, dep)
		}
	}
}
