package overlayhelper

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// The users, by name in /etc/passwd.
const (
	ServiceName = "left4me"    // owns content: overlays, the installation, lists
	GameName    = "l4d2"       // runs the game and owns what it writes
	BuildName   = "l4d2-build" // runs recipes and may own what they made
)

// User is a user's own id and that of its first group.
type User struct {
	UID, GID uint32
}

// Users are those whose files the helper handles. None of them is root.
type Users struct {
	Service, Game User
	Build         *User // nil where there is none
}

// ParsePasswd finds the users in a file of the format of /etc/passwd:
//
//	left4me:x:980:980:left4me:/var/lib/left4me:/usr/sbin/nologin
//
// As for everyone who looks up a name, its first line counts. A missing service
// or game user is ErrFailed; one that is root is ErrRefused.
func ParsePasswd(r io.Reader) (Users, error) {
	found := map[string]User{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		f := strings.Split(s.Text(), ":")
		if len(f) != 7 {
			continue
		}
		switch f[0] {
		case ServiceName, GameName, BuildName:
		default:
			continue
		}
		if _, again := found[f[0]]; again {
			continue
		}
		uid, uerr := strconv.ParseUint(f[2], 10, 32)
		gid, gerr := strconv.ParseUint(f[3], 10, 32)
		if err := errors.Join(uerr, gerr); err != nil {
			return Users{}, Fail(ErrFailed, "the line of %s in /etc/passwd has no ids: %w", f[0], err)
		}
		if uid == 0 || gid == 0 {
			return Users{}, Fail(ErrRefused, "%s is root in /etc/passwd, and must not be", f[0])
		}
		found[f[0]] = User{UID: uint32(uid), GID: uint32(gid)}
	}
	if err := s.Err(); err != nil {
		return Users{}, Fail(ErrFailed, "cannot read /etc/passwd: %w", err)
	}
	return users(found)
}

func users(found map[string]User) (Users, error) {
	var u Users
	for name, to := range map[string]*User{ServiceName: &u.Service, GameName: &u.Game} {
		f, ok := found[name]
		if !ok {
			return Users{}, Fail(ErrFailed, "there is no user %s in /etc/passwd; install the package, or make it with: useradd --system %s", name, name)
		}
		*to = f
	}
	if b, ok := found[BuildName]; ok {
		u.Build = &b
	}
	return u, nil
}

// Meta is what decides about a folder or file: its owner, its mode bits, and
// whether it is of the kind that it must be.
type Meta struct {
	UID, GID uint32
	Mode     uint32 // permission bits
}

const writableByAll = 0o002

// LayerOwner says whose ids of a layer must be shown as the game's: nil when the
// layer is used as it is, because it is root's or the game's own ids anyway.
// what names the layer in the sentence. A layer of anyone else, or one that
// everybody may write to, is ErrRefused.
func LayerOwner(what string, m Meta, u Users) (*User, error) {
	if m.Mode&writableByAll != 0 {
		return nil, Fail(ErrRefused, "%s may be changed by everybody (mode %04o); make it again", what, m.Mode)
	}
	var owner *User
	switch {
	case m.UID == 0:
		return nil, nil
	case m.UID == u.Service.UID:
		owner = &u.Service
	case u.Build != nil && m.UID == u.Build.UID:
		owner = u.Build
	default:
		return nil, Fail(ErrRefused, "%s belongs to user %d, and only %s, %s and root may own layers", what, m.UID, ServiceName, BuildName)
	}
	if owner.UID == u.Game.UID {
		return nil, nil
	}
	return owner, nil
}

// CheckList says whether the list of layers may be believed: it is the service
// user's and nobody else can have written it.
func CheckList(m Meta, size int64, u Users) error {
	switch {
	case m.UID != u.Service.UID:
		return Fail(ErrRefused, "the list of layers belongs to user %d and not to %s", m.UID, ServiceName)
	case m.Mode&writableByAll != 0:
		return Fail(ErrRefused, "the list of layers may be changed by everybody (mode %04o)", m.Mode)
	case size > MaxListBytes:
		return Fail(ErrRefused, "the list of layers is longer than %d bytes", MaxListBytes)
	}
	return nil
}

// CheckPrivate says whether a folder that names are looked up in is root's alone.
func CheckPrivate(what string, m Meta) error {
	if m.UID != 0 {
		return Fail(ErrRefused, "%s belongs to user %d and not to root, who must be the only one to change it; if nothing runs, remove it", what, m.UID)
	}
	if m.Mode&0o022 != 0 {
		return Fail(ErrRefused, "%s may be changed by others than root (mode %04o)", what, m.Mode)
	}
	return nil
}
