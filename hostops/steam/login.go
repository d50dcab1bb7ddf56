package steam

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Login is a Steam account that owns the game. It is kept in a file that only
// its owner may read, and handed to steamcmd in another such file: an argument or
// a variable can be seen by others, and both are logged.
type Login struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// loginFile lies in Steam's home, which a game never sees.
const loginFile = "login.json"

// maskText stands where a secret stood.
const maskText = "********"

// maxSecret bounds both halves of a login; Steam's own limits are below it.
const maxSecret = 128

// check refuses what cannot be written into a script of steamcmd's, which knows
// no way to quote a quotation mark.
func (l Login) check() error {
	for what, text := range map[string]string{"name": l.User, "password": l.Password} {
		switch {
		case text == "":
			return badLogin("the %s of the Steam account is empty", what)
		case len(text) > maxSecret:
			return badLogin("the %s of the Steam account is longer than %d bytes", what, maxSecret)
		case strings.ContainsRune(text, '"'), strings.ContainsFunc(text, unicode.IsControl):
			return badLogin("the %s of the Steam account has a quotation mark or a control character in it, which steamcmd cannot be told: change it at Steam", what)
		}
	}
	if strings.ContainsAny(l.User, " \t'") || strings.EqualFold(l.User, "anonymous") {
		return badLogin("%q is not the name of a Steam account: give the one that you sign in with, not the one that players see", l.User)
	}
	return nil
}

func badLogin(format string, args ...any) error {
	return &Failure{Sentence: fmt.Sprintf(format, args...), Class: ctl.ErrUsage}
}

// SaveLogin keeps a login for later installs, in a file of mode 0600. One that
// cannot be used is ctl.ErrUsage.
func SaveLogin(home string, l Login) error {
	if err := l.check(); err != nil {
		return err
	}
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("keep the Steam login: %w", err)
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return fmt.Errorf("keep the Steam login: %w", err)
	}
	if err := replaceFile(filepath.Join(home, loginFile), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the Steam login: %w", err)
	}
	return nil
}

// ForgetLogin removes the login. None is success. What steamcmd itself keeps of
// the sign-in stays in its own files until it expires.
func ForgetLogin(home string) error {
	if err := os.Remove(filepath.Join(home, loginFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the Steam login: %w", err)
	}
	return nil
}

// readLogin returns nil without an error when none is kept. A file that others
// may read or that is not ours is refused: somebody should know.
func readLogin(home string) (*Login, error) {
	path := filepath.Join(home, loginFile)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the Steam login: %w", err)
	}
	defer f.Close() // read only; nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the Steam login: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		return nil, &Failure{
			Class: ctl.ErrSteam, Kind: ClassLogin,
			Sentence: fmt.Sprintf("%s must be a file of user %d that nobody else may read: remove it and give the account again with l4d2ctl steam login", path, os.Geteuid()),
		}
	}
	var l Login
	if err := json.NewDecoder(f).Decode(&l); err != nil || l.check() != nil {
		return nil, &Failure{
			Class: ctl.ErrSteam, Kind: ClassLogin,
			Sentence: fmt.Sprintf("%s is damaged: give the account again with l4d2ctl steam login", path),
		}
	}
	return &l, nil
}

// mask takes the password out of a line, and the name where steamcmd is known to
// show it. Elsewhere the name may be a word that means something.
func (l *Login) mask(text string) string {
	text = strings.ReplaceAll(text, l.Password, maskText)
	return strings.NewReplacer("'"+l.User+"'", "'"+maskText+"'", "login "+l.User, "login "+maskText,
		`login "`+l.User+`"`, "login "+maskText).Replace(text)
}

// scriptPattern is how scripts are called until they are removed.
const scriptPattern = ".run-*.txt"

// writeScript writes steamcmd's commands into a file that only we may read. The
// returned function removes it.
func (l *Login) writeScript(home string, commands [][]string) (path string, remove func(), err error) {
	var b strings.Builder
	for _, words := range commands {
		for i, word := range words {
			if strings.ContainsAny(word, "\"\r\n") {
				return "", nil, &Failure{Class: ctl.ErrSteam, Sentence: fmt.Sprintf("%q cannot be told to steamcmd in a script: choose a path without quotation marks", word)}
			}
			if i > 0 {
				b.WriteByte(' ')
			}
			if i > 0 && strings.ContainsAny(word, " \t/'\\;") || word == l.Password {
				word = `"` + word + `"`
			}
			b.WriteString(word)
		}
		b.WriteByte('\n')
	}
	f, err := os.CreateTemp(home, scriptPattern) // of mode 0600
	if err != nil {
		return "", nil, fmt.Errorf("write a script for steamcmd: %w", err)
	}
	remove = func() { _ = os.Remove(f.Name()) } // removeScripts does it next time
	_, err = f.WriteString(b.String())
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("write a script for steamcmd: %w", err)
	}
	return f.Name(), remove, nil
}

// removeScripts takes away what a killed run left. The caller holds the home.
func removeScripts(home string) {
	left, err := filepath.Glob(filepath.Join(home, scriptPattern))
	if err != nil {
		return // only a bad pattern can fail
	}
	for _, path := range left {
		_ = os.Remove(path) // a secret that stays is no worse than the login beside it
	}
}
