package steamsim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// StateFlags of a manifest, as far as the simulation sets them.
const (
	stateUpdateRequired = 2
	stateInstalled      = 4
	stateUpdating       = 1024 | stateUpdateRequired
)

// manifest is steamapps/appmanifest_222860.acf: KeyValues text, one tab per
// level, two between key and value, every value quoted.
type manifest struct {
	flags         int
	build, target string
	size          int64   // bytes on disk
	todo, done    int64   // bytes to download, bytes downloaded
	depots        []depot // installed
}

func manifestPath(library string) string {
	return filepath.Join(library, "steamapps", "appmanifest_"+appID+".acf")
}

// readManifest returns nil without an error when there is none.
func readManifest(library string) (*manifest, error) {
	b, err := os.ReadFile(manifestPath(library))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	kv := flatten(string(b))
	m := &manifest{build: kv["appstate/buildid"], target: kv["appstate/targetbuildid"]}
	m.flags, _ = strconv.Atoi(kv["appstate/stateflags"]) // a stub may lack it: 0 is "do everything"
	m.todo, _ = strconv.ParseInt(kv["appstate/bytestodownload"], 10, 64)
	m.done, _ = strconv.ParseInt(kv["appstate/bytesdownloaded"], 10, 64)
	for _, d := range depots {
		if _, ok := kv["appstate/installeddepots/"+d.id+"/manifest"]; ok {
			m.depots = append(m.depots, d)
			m.size += d.size
		}
	}
	return m, nil
}

func (m *manifest) has(d depot) bool {
	for _, have := range m.depots {
		if have.id == d.id {
			return true
		}
	}
	return false
}

// write stores the manifest, all of it or nothing.
func (m *manifest) write(library string) error {
	var b strings.Builder
	pair := func(tabs int, k, v string) {
		fmt.Fprintf(&b, "%s%q\t\t%q\n", strings.Repeat("\t", tabs), k, v)
	}
	num := func(k string, n int64) { pair(1, k, strconv.FormatInt(n, 10)) }
	b.WriteString("\"AppState\"\n{\n")
	pair(1, "appid", appID)
	pair(1, "Universe", "1")
	pair(1, "name", appName)
	num("StateFlags", int64(m.flags))
	pair(1, "installdir", appName)
	num("LastUpdated", time.Now().Unix())
	num("LastPlayed", 0)
	num("SizeOnDisk", m.size)
	num("StagingSize", 0)
	pair(1, "buildid", m.build)
	pair(1, "LastOwner", "0")
	num("UpdateResult", 0)
	num("BytesToDownload", m.todo)
	num("BytesDownloaded", m.done)
	num("BytesToStage", m.todo)
	num("BytesStaged", m.done)
	pair(1, "TargetBuildID", m.target)
	pair(1, "AutoUpdateBehavior", "0")
	pair(1, "AllowOtherDownloadsWhileRunning", "0")
	pair(1, "ScheduledAutoUpdate", "0")
	b.WriteString("\t\"InstalledDepots\"\n\t{\n")
	for _, d := range m.depots {
		fmt.Fprintf(&b, "\t\t%q\n\t\t{\n", d.id)
		pair(3, "manifest", d.manifest)
		pair(3, "size", strconv.FormatInt(d.size, 10))
		b.WriteString("\t\t}\n")
	}
	b.WriteString("\t}\n\t\"UserConfig\"\n\t{\n")
	b.WriteString("\t}\n\t\"MountedConfig\"\n\t{\n\t}\n}\n")
	return writeFile(manifestPath(library), []byte(b.String()), 0o644)
}

// flatten reads KeyValues text into "outer/inner/key" → value with keys in
// lower case. It is as forgiving as Steam is with hand-written manifests:
// whatever does not fit is skipped.
func flatten(text string) map[string]string {
	out := map[string]string{}
	var path []string
	key, haveKey := "", false
	for _, tok := range kvTokens(text) {
		switch {
		case tok == "{":
			path = append(path, strings.ToLower(key))
			haveKey = false
		case tok == "}":
			if len(path) > 0 {
				path = path[:len(path)-1]
			}
			haveKey = false
		case !haveKey:
			key, haveKey = strings.TrimPrefix(tok, "\""), true
		default:
			out[strings.Join(append(path[:len(path):len(path)], strings.ToLower(key)), "/")] = strings.TrimPrefix(tok, "\"")
			haveKey = false
		}
	}
	return out
}

// kvTokens returns braces as they are and every other token with a quote mark
// in front, so that a quoted brace is no brace.
func kvTokens(text string) []string {
	var toks []string
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '{' || c == '}':
			toks = append(toks, string(c))
			i++
		case c == '"':
			i++
			var b strings.Builder
			for ; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' && i+1 < len(text) {
					i++
				}
				b.WriteByte(text[i])
			}
			i++
			toks = append(toks, "\""+b.String())
		case c <= ' ':
			i++
		case strings.HasPrefix(text[i:], "//"):
			for ; i < len(text) && text[i] != '\n'; i++ {
			}
		default:
			start := i
			for ; i < len(text) && text[i] > ' ' && !strings.ContainsRune("{}\"", rune(text[i])); i++ {
			}
			toks = append(toks, "\""+text[start:i])
		}
	}
	return toks
}
