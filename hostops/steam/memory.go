package steam

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"left4me/hostops/ctl"
)

// memory is what a host has learned of Steam. It lies in Steam's home and is
// written while that is held; without it everything works, only slower.
type memory struct {
	// Method is the way that worked last.
	Method Method `json:"method,omitempty"`
	// Limited is when Steam last refused a login because of too many.
	Limited time.Time `json:"rate_limited,omitzero"`
	// Latest is the newest build that Steam was heard of.
	Latest string `json:"latest_build,omitempty"`
	// Checked is when that was.
	Checked time.Time `json:"checked,omitzero"`
}

const memoryFile = "left4me.json"

// limitLasts is how long Steam is left alone after a rate limit: each login
// within it begins it anew.
const limitLasts = 30 * time.Minute

// recall reads the memory. One that is absent or damaged is empty.
func recall(home string) memory {
	var m memory
	data, err := os.ReadFile(filepath.Join(home, memoryFile))
	if err != nil || json.Unmarshal(data, &m) != nil {
		return memory{}
	}
	return m
}

// remember changes the memory. A failure costs a detour next time, so it is only
// said.
func (o Options) remember(change func(*memory)) {
	before := recall(o.Home)
	after := before
	change(&after)
	if after == before {
		return
	}
	data, err := json.Marshal(after)
	if err == nil {
		err = replaceFile(filepath.Join(o.Home, memoryFile), append(data, '\n'), 0o644)
	}
	if err != nil {
		o.log(ctl.StreamCtl, fmt.Sprintf("what was learned of Steam could not be kept: %v", err))
	}
}

// Known is what a host has learned of Steam, as others may see it.
type Known struct {
	Latest  string    // the newest build that Steam named, or ""
	Checked time.Time // when it did
	Method  Method    // the way of installing that worked last, "" for none yet
}

// Recall says what was learned in this Steam home.
func Recall(home string) Known {
	m := recall(home)
	return Known{Latest: m.Latest, Checked: m.Checked, Method: m.Method}
}

// limited is a *Failure while Steam must be left alone.
func (o Options) limited(now time.Time) error {
	at := recall(o.Home).Limited
	until := at.Add(limitLasts)
	if at.IsZero() || now.Before(at) || !now.Before(until) { // a clock that was set back proves nothing
		return nil
	}
	return &Failure{Class: ctl.ErrSteam, Kind: ClassRateLimit, Sentence: fmt.Sprintf(
		"Steam refused logins from this address at %s (rate limit), and each try makes that longer: nothing was tried. Try again after %s.", clock(at), clock(until))}
}

// noteLimit remembers a rate limit and says in the failure when it ends.
func (o Options) noteLimit(f *Failure, now time.Time) {
	if f.Kind != ClassRateLimit {
		return
	}
	o.remember(func(m *memory) { m.Limited = now.UTC().Truncate(time.Second) })
	f.Sentence = fmt.Sprintf("Steam refuses logins from this address for a while (rate limit), and each try makes that longer. Try again after %s.",
		clock(now.Add(limitLasts)))
}

func clock(t time.Time) string { return t.UTC().Format("15:04 UTC") }

// replaceFile puts data at path, all of it or nothing.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error matters more
	}
	return err
}
