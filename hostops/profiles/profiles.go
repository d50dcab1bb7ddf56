// Package profiles asks Steam's Web API for the names and pictures of players, and
// keeps the pictures. It knows nothing of servers. Start at Fetch.
package profiles

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
	"left4me/hostops/picture"
)

const (
	// MaxIDs is how many players one call asks for; Steam answers for no more.
	MaxIDs = 100

	maxAnswer     = 1 << 20
	maxAvatar     = 200 << 10 // bytes; the large one has 184 × 184 pixels
	maxName       = 128
	avatarsAtOnce = 4
	maxAvatars    = 5000 // pictures that are kept; the oldest go
	agent         = "left4me"
)

// standardAPI is Steam's Web API; avatars come from the hosts that it names.
const standardAPI = "https://api.steampowered.com"

var avatarHosts = []string{"*.steamstatic.com", "steamcdn-a.akamaihd.net"}

var keyPattern = regexp.MustCompile(`\A[0-9A-Fa-f]{32}\z`)

// Options is where to ask and what to do with the answer.
type Options struct {
	API   string               // base URL of Steam's Web API
	Hosts []string             // HOST:PORT that avatars may come from beside Steam's own, over plain http too
	Dir   string               // where avatars are kept, each by its SHA-256
	Each  func(ctl.Profile)    // gets each profile
	Say   func(string, ...any) // hears why an avatar is missing
}

// Fetch asks for the players with these 64-bit ids, at most MaxIDs, with a Web API
// key. Players whom Steam does not know are left out. The key appears in no error.
// Errors: ctl.ErrUsage for a key or ids that are none, ctl.ErrSteam when Steam
// refuses the key, ctl.ErrSteamRetry when it does not answer now.
func Fetch(ctx context.Context, key string, ids []string, o Options) error {
	if !keyPattern.MatchString(key) {
		return fail(ctl.ErrUsage, "this is no Steam Web API key: it has 32 digits and letters from a to f")
	}
	if len(ids) == 0 || len(ids) > MaxIDs {
		return fail(ctl.ErrUsage, "1 to %d Steam ids can be asked for at once, not %d", MaxIDs, len(ids))
	}
	for _, id := range ids {
		if got, ok := ctl.SteamID64(id); !ok || got != id {
			return fail(ctl.ErrUsage, "%q is no 64-bit Steam id of a player", clip(id, 40))
		}
	}
	f, err := newFetcher(o)
	if err != nil {
		return err
	}
	defer f.client.Close()
	players, err := f.summaries(ctx, key, ids)
	if err != nil {
		return err
	}
	f.avatars(ctx, players)
	if ctx.Err() != nil {
		return fail(ctl.ErrCancelled, "asking for profiles was cancelled")
	}
	for _, p := range players {
		o.Each(ctl.Profile{SteamID: p.ID, Name: cleanName(p.Name), Avatar: p.sum})
	}
	return f.prune()
}

type fetcher struct {
	Options
	base   string
	client *fetch.Client
}

func newFetcher(o Options) (*fetcher, error) {
	base := strings.TrimSuffix(o.API, "/")
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fail(ctl.ErrUsage, "%q is not the address of a Web API: it is a URL such as %s", clip(base, 100), standardAPI)
	}
	dialer := &fetch.Dialer{Trusted: append([]string(nil), o.Hosts...)}
	if base != standardAPI {
		dialer.Trusted = append(dialer.Trusted, fetch.Address(u))
	}
	hosts := append([]string{strings.ToLower(u.Hostname())}, avatarHosts...)
	return &fetcher{o, base, &fetch.Client{Hosts: hosts, Dialer: dialer, Agent: agent}}, nil
}

// player is what we read of GetPlayerSummaries.
type player struct {
	ID     string `json:"steamid"`
	Name   string `json:"personaname"`
	Avatar string `json:"avatarfull"` // an https URL
	sum    string
}

// summaries makes the call. The key is in the URL's query, which fetch leaves out of
// its errors.
func (f *fetcher) summaries(ctx context.Context, key string, ids []string) ([]*player, error) {
	query := url.Values{"key": {key}, "steamids": {strings.Join(ids, ",")}}
	body, resp, err := f.get(ctx, f.base+"/ISteamUser/GetPlayerSummaries/v2/?"+query.Encode(), maxAnswer)
	switch {
	case ctx.Err() != nil:
		return nil, fail(ctl.ErrCancelled, "asking for profiles was cancelled")
	case errors.Is(err, fetch.ErrRefused):
		// The refusal names the address, into which a redirect may have put the key.
		return nil, fail(ctl.ErrSteam, "Steam's Web API sent this host somewhere that may not be asked: look at the address of the Web API")
	case err != nil:
		return nil, fail(ctl.ErrSteamRetry, "Steam's Web API cannot be reached (%v): try again later", err)
	case resp.Status == http.StatusUnauthorized || resp.Status == http.StatusForbidden:
		return nil, fail(ctl.ErrSteam, "Steam refuses the Web API key (status %d): look at https://steamcommunity.com/dev/apikey and give left4me the key that stands there", resp.Status)
	case resp.Status == http.StatusTooManyRequests:
		return nil, fail(ctl.ErrSteamRetry, "Steam's Web API wants fewer requests with this key (status 429): try again later")
	case resp.Status != http.StatusOK:
		return nil, fail(ctl.ErrSteamRetry, "Steam's Web API answered with status %d: try again later", resp.Status)
	}
	var answer struct {
		Response struct {
			Players []*player `json:"players"`
		} `json:"response"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fail(ctl.ErrSteamRetry, "something else than Steam's answer came back, perhaps the page of a proxy between this machine and Steam: try again later")
	}
	asked := map[string]bool{}
	for _, id := range ids {
		asked[id] = true
	}
	var players []*player
	for _, p := range answer.Response.Players {
		if p != nil && asked[p.ID] {
			asked[p.ID] = false // once
			players = append(players, p)
		}
	}
	return players, nil
}

func (f *fetcher) get(ctx context.Context, at string, limit int64) ([]byte, *fetch.Response, error) {
	resp, err := f.client.Do(ctx, fetch.Request{URL: at, Limit: limit})
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close() // read to its end, or given up
	body, err := io.ReadAll(resp.Body)
	return body, resp, err
}

// avatars fetches the pictures, a few at a time. One that fails is only said.
func (f *fetcher) avatars(ctx context.Context, players []*player) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	todo := make(chan *player)
	var all sync.WaitGroup
	for range avatarsAtOnce {
		all.Go(func() {
			for p := range todo {
				sum, err := f.avatar(ctx, p.Avatar)
				if err != nil && ctx.Err() == nil {
					f.Say("The picture of player %s is missing: %v.", p.ID, err)
				}
				p.sum = sum
			}
		})
	}
	for _, p := range players {
		if p.Avatar != "" {
			todo <- p
		}
	}
	close(todo)
	all.Wait()
}

func (f *fetcher) avatar(ctx context.Context, at string) (sum string, err error) {
	data, resp, err := f.get(ctx, at, maxAvatar)
	switch {
	case errors.Is(err, fetch.ErrTooLong):
		return "", fmt.Errorf("it is larger than %d KB", maxAvatar>>10)
	case err != nil:
		return "", err
	case resp.Status != http.StatusOK:
		return "", fmt.Errorf("status %d", resp.Status)
	}
	if err := picture.Check(data); err != nil {
		return "", err
	}
	return f.keep(data)
}

// keep stores a picture under the hash of its content, and marks one that is there as
// used again.
func (f *fetcher) keep(data []byte) (sum string, err error) {
	h := sha256.Sum256(data)
	sum = hex.EncodeToString(h[:])
	path, now := filepath.Join(f.Dir, sum), time.Now()
	if os.Chtimes(path, now, now) == nil {
		return sum, nil
	}
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return "", err
	}
	next, err := os.CreateTemp(f.Dir, ".new-*")
	if err != nil {
		return "", err
	}
	_, err = next.Write(data)
	err = errors.Join(err, next.Chmod(0o644), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		_ = os.Remove(next.Name()) // the first error matters more
		return "", err
	}
	return sum, nil
}

// prune removes the pictures that were unused for longest when there are too many.
func (f *fetcher) prune() error {
	entries, err := os.ReadDir(f.Dir)
	if err != nil || len(entries) <= maxAvatars {
		return nil // nothing was kept at worst
	}
	type aged struct {
		name string
		at   time.Time
	}
	var list []aged
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			list = append(list, aged{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b aged) int { return a.at.Compare(b.at) })
	for _, old := range list[:max(len(list)-maxAvatars, 0)] {
		if err := os.Remove(filepath.Join(f.Dir, old.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove an old avatar: %w", err)
		}
	}
	return nil
}

// cleanName makes one line of a name, of at most 128 bytes.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	return clip(strings.TrimSpace(name), maxName)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

type failure struct {
	text string
	kind error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.kind }

func fail(kind error, format string, args ...any) error {
	return &failure{fmt.Sprintf(format, args...), kind}
}
